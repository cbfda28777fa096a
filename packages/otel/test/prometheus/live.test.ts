/** Debian's Prometheus scrapes a fleet that met every fault: what it then answers to the dashboard and the alerts. */
import { afterAll, assert, beforeAll, describe, layer } from "@effect/vitest"
import { Leftovers, Prometheus } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import * as On from "../support.ts"
import { Fleet, layer as fleet } from "./fleet.ts"
import * as Shipped from "./support.ts"

/** What Grafana makes of a query when every backend is chosen; the durations fit a life of some seconds. */
const substituted = (expression: string) =>
  expression.replaceAll("$__rate_interval", "5s").replaceAll("$__range", "1m").replaceAll("$backend", ".*")

/** In seconds, well below the time between scrapes: a range leaves none out. */
const step = 0.1

const figuresOf = (series: ReadonlyArray<Prometheus.Series>): On.Figures =>
  Object.fromEntries(
    series.flatMap(({ labels, values }) => {
      const { __name__ = "", instance: _instance, job: _job, ...own } = labels
      // histograms by their count; dropped events are of nobody
      if (/_(bucket|sum)$|_dropped_total$/.test(__name__)) return []
      return [[On.seriesName(__name__.replace(/_count$/, ""), own), values[0] ?? Number.NaN]]
    })
  )

describe.skipIf(Prometheus.isMissingFor("Prometheus:"))("Prometheus", () => {
  let leftovers: Leftovers.Leftovers
  beforeAll(async () => {
    leftovers = await Effect.runPromise(Leftovers.make())
  })
  afterAll(() => Effect.runPromise(leftovers.check))

  layer(fleet, { excludeTestServices: true, timeout: "30 seconds" })("after a fleet has lived", (it) => {
    it.effect("has every figure that an observer counted, and no other", () =>
      Effect.gen(function* () {
        const { expected, prometheus } = yield* Fleet
        const all = Effect.map(prometheus.query('{__name__=~"vmcp_keepalive_.+"}'), figuresOf)
        const sorted = (figures: On.Figures) => JSON.stringify(Object.entries(figures).toSorted())
        // the last events may be one scrape behind
        yield* Prometheus.until(
          "it has scraped the last events",
          all,
          (found) => sorted(found) === sorted(expected)
        ).pipe(Effect.ignore)
        assert.deepStrictEqual(yield* all, expected)
      })
    )

    it.effect("knows the five metrics of the vMCP gateway by name and type, and what happened to each", () =>
      Effect.gen(function* () {
        const { prometheus } = yield* Fleet
        const metadata = yield* prometheus.metadata
        const sum = (expression: string) =>
          Effect.map(prometheus.query(`sum(${expression})`), ([series]) => series?.values[0] ?? 0)
        const seeds = {
          vmcp_keepalive_attempt_total: "counter",
          vmcp_keepalive_success_total: "counter",
          vmcp_keepalive_failure_total: "counter",
          vmcp_keepalive_latency_seconds: "histogram",
          vmcp_keepalive_auto_disabled_total: "counter"
        }
        for (const [name, type] of Object.entries(seeds)) {
          assert.deepStrictEqual(
            metadata[name]?.map((entry) => entry.type),
            [type],
            name
          )
          assert.isAbove(yield* sum(type === "histogram" ? `${name}_count` : name), 0, name)
        }
        const latency = yield* sum("vmcp_keepalive_latency_seconds_sum")
        const probes = yield* sum("vmcp_keepalive_success_total")
        assert.strictEqual(yield* sum('vmcp_keepalive_latency_seconds_bucket{le="+Inf"}'), probes)
        assert.isAtLeast(latency, 0.003 * probes)
        assert.isAbove(yield* sum("vmcp_keepalive_dropped_total"), 0)
      })
    )

    it.effect("saw each backend in exactly one state at any time", () =>
      Effect.gen(function* () {
        const { began, prometheus } = yield* Fleet
        const sums = yield* prometheus.range("sum by (backend_id) (vmcp_keepalive_state)", began, step)
        assert.deepStrictEqual(sums.map(({ labels }) => labels["backend_id"]).toSorted(), [
          "failing",
          "flapping",
          "locked",
          "steady"
        ])
        for (const { labels, values } of sums) {
          assert.isAbove(values.length, 12)
          assert.deepStrictEqual(new Set(values), new Set([1]), labels["backend_id"])
        }
      })
    )

    it.effect.each(
      Shipped.targets.map((target) => ({ ...target, name: `${target.panel.title}: ${target.legendFormat}` }))
    )("has data for the panel $name", ({ expr, instant, legendFormat }) =>
      Effect.gen(function* () {
        const { began, prometheus } = yield* Fleet
        const query = substituted(expr)
        const series = yield* instant ? prometheus.query(query) : prometheus.range(query, began, step)
        assert.isNotEmpty(series)
        for (const { labels, values } of series) {
          assert.isTrue(values.some(Number.isFinite), JSON.stringify(labels))
          for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.property(labels, label)
        }
        assert.isTrue(instant || series.some(({ values }) => values.some((value) => value > 0)))
      })
    )

    it.effect("shows a circuit that opened for the first time, of which increase() alone knows nothing", () =>
      Effect.gen(function* () {
        const { began, prometheus } = yield* Fleet
        const panel = Shipped.targets.find(({ panel }) => panel.title === "Circuit openings")
        assert.isDefined(panel)
        const most = (series: ReadonlyArray<Prometheus.Series>) => Math.max(...series.flatMap(({ values }) => values))
        assert.strictEqual(most(yield* prometheus.query("vmcp_keepalive_auto_disabled_total")), 1)
        assert.strictEqual(most(yield* prometheus.range(substituted(panel.expr), began, step)), 1)
        const naive = yield* prometheus.range("increase(vmcp_keepalive_auto_disabled_total[5s])", began, step)
        assert.strictEqual(most(naive), 0)
      })
    )

    it.effect("offers the backends to choose from", () =>
      Effect.gen(function* () {
        const { prometheus } = yield* Fleet
        for (const { definition } of Shipped.dashboard.templating.list) {
          const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition ?? "") ?? []
          if (metric === undefined || label === undefined) continue
          assert.deepStrictEqual(yield* prometheus.labelValues(metric, label), [
            "failing",
            "flapping",
            "locked",
            "steady"
          ])
        }
      })
    )

    it.effect.each(Shipped.alerts)("has data for the alert $alert, whatever its threshold", ({ expr }) =>
      Effect.gen(function* () {
        const { prometheus } = yield* Fleet
        const sides = expr.split(/\s(?:and|unless) ignoring \(\w+\)\s/)
        for (const side of sides) {
          // a comparison with bool answers 0 or 1, and drops nothing
          const query = side.replaceAll(/(==|>=|>) (?=\d+\s*$)/g, "$1 bool ")
          assert.notStrictEqual(query, side)
          const series = yield* prometheus.query(query)
          assert.isNotEmpty(series, side)
          const isOfBackends = side.includes("vmcp_keepalive_state")
          for (const { labels } of series) assert.strictEqual("backend_id" in labels, isOfBackends, side)
        }
      })
    )

    it.effect("evaluates every rule without an error", () =>
      Effect.gen(function* () {
        const { prometheus } = yield* Fleet
        const rules = yield* prometheus.rules
        assert.deepStrictEqual(
          rules.map(({ health, lastError, name }) => ({ health, lastError, name })),
          Shipped.alerts.map(({ alert }) => ({ health: "ok", lastError: undefined, name: alert }))
        )
      })
    )

    it.effect("raised each alert for whom it concerns, with its name in the text", () =>
      Effect.gen(function* () {
        const { alerts } = yield* Fleet
        const raised = alerts.map(({ annotations, labels }) => {
          assert.notInclude(JSON.stringify(annotations), "<")
          assert.include(annotations["summary"], labels["backend_id"] ?? labels["instance"] ?? "nobody")
          return `${labels["alertname"]} ${labels["backend_id"] ?? ""}`
        })
        assert.sameMembers(raised, [
          "McpBackendDown failing",
          "McpCircuitOpen failing",
          "McpBackendFlapping flapping",
          "McpCallOutcomeUnknown flapping",
          "McpBackendNeedsCredentials locked",
          "McpMetricsDropped "
        ])
      })
    )
  })
})
