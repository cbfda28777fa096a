/** Debian's Prometheus scrapes a fleet that met every fault: what it then answers to the dashboard and the alerts. */
import { afterAll, assert, beforeAll, describe, it, layer } from "@effect/vitest"
import { Leftovers, Prometheus } from "@vmcp-keepalive/testkit"
import { Duration, Effect } from "effect"
import * as On from "../support.ts"
import { bar, Fleet, layer as fleet } from "./fleet.ts"
import * as Shipped from "./support.ts"

/** A query for everything, in bars that fit a life of some seconds. */
const asked = (expression: string) =>
  Shipped.substituted(expression, { interval: `${Duration.toSeconds(bar)}s`, range: "1m" })

/** In seconds, well below the time between scrapes: a range leaves none out. */
const step = 0.1

const figuresOf = (series: ReadonlyArray<Prometheus.Series>): On.Figures =>
  Object.fromEntries(
    series.flatMap(({ labels, values }) => {
      const { __name__ = "", instance: _instance, job: _job, ...own } = labels
      // histograms by their count
      if (/_(bucket|sum)$/.test(__name__)) return []
      return [[On.seriesName(__name__.replace(/_count$/, ""), own), values[0] ?? Number.NaN]]
    })
  )

/** What each panel that counts has to count. */
const toCount: ReadonlyArray<{ title: string; legend: string; metric: string; outcome?: string }> = [
  { title: "Sessions lost", legend: "lost", metric: "session_lost_total" },
  { title: "Circuits opened", legend: "opened", metric: "auto_disabled_total" },
  { title: "Events without metrics", legend: "dropped", metric: "dropped_total" },
  { title: "Sessions lost, all backends", legend: "{{reason}}", metric: "session_lost_total" },
  { title: "Attempts failed, all backends", legend: "{{reason}}", metric: "connect_failure_total" },
  { title: "Sessions lost by backend", legend: "{{backend_id}}", metric: "session_lost_total" },
  { title: "Circuits opened by backend", legend: "{{backend_id}}", metric: "auto_disabled_total" },
  { title: "Backends taken", legend: "{{instance}}", metric: "cluster_moves_total" },
  { title: "Sessions lost because", legend: "{{reason}}", metric: "session_lost_total" },
  { title: "Attempts failed because", legend: "{{reason}}", metric: "connect_failure_total" },
  { title: "Circuit opened because", legend: "{{reason}}", metric: "auto_disabled_total" },
  { title: "Reconnects", legend: "{{outcome}}", metric: "reconnect_total" },
  { title: "Probe failures", legend: "{{reason}}", metric: "failure_total" },
  { title: "Probes", legend: "sent", metric: "attempt_total" },
  { title: "Probes", legend: "answered", metric: "success_total" },
  { title: "Probes", legend: "failed", metric: "failure_total" },
  { title: "Probes", legend: "needless", metric: "suppressed_total" },
  { title: "Calls rejected because", legend: "{{reason}}", metric: "rejected_total" },
  { title: "Replays denied, sessions expired", legend: "replay denied", metric: "replay_denied_total" },
  { title: "Replays denied, sessions expired", legend: "session expired", metric: "session_expired_total" },
  { title: "Lists", legend: "{{change}}", metric: "list_changes_total" },
  { title: "Calls by outcome", legend: "{{outcome}}", metric: "call_total" },
  { title: "Outcome unknown", legend: "outcome unknown", metric: "call_total", outcome: "outcome_unknown" }
]

/** The columns of the table of reasons. */
const reasons = { A: "connect_failure_total", B: "session_lost_total", C: "failure_total" }

const seriesOf = (figures: On.Figures, metric: string, instance = ""): ReadonlyArray<Prometheus.Series> =>
  Prometheus.seriesOf(
    Object.entries(figures)
      .map(([series, figure]) => `${series} ${figure}`)
      .join("\n")
  ).flatMap(({ labels, values }) =>
    labels["__name__"] === `vmcp_keepalive_${metric}` ? [{ labels: { ...labels, instance }, values }] : []
  )

/** All that the series show, by one of their labels. */
const sums = (series: ReadonlyArray<Prometheus.Series>, label = ""): On.Figures => {
  const found: On.Figures = {}
  for (const { labels, values } of series) {
    const name = labels[label] ?? ""
    found[name] = (found[name] ?? 0) + values.filter(Number.isFinite).reduce((sum, value) => sum + value, 0)
  }
  return found
}

const sorted = (figures: On.Figures) => JSON.stringify(Object.entries(figures).toSorted())
const same = (some: On.Figures, others: On.Figures) => sorted(some) === sorted(others)

describe.skipIf(Prometheus.isMissingFor("Prometheus:"))("Prometheus", () => {
  let leftovers: Leftovers.Leftovers
  beforeAll(async () => {
    leftovers = await Effect.runPromise(Leftovers.make())
  })
  afterAll(() => Effect.runPromise(leftovers.check))

  it("says of every panel that counts what it is to count", () => {
    assert.sameMembers(
      Shipped.counting.map(({ legendFormat, panel }) => `${panel.title}: ${legendFormat}`),
      toCount.map(({ legend, title }) => `${title}: ${legend}`)
    )
  })

  layer(fleet, { excludeTestServices: true, timeout: "2 minutes" })("after a fleet has lived", (it) => {
    it.effect("has every figure that an observer counted, and no other", () =>
      Effect.gen(function* () {
        const { expected, prometheus } = yield* Fleet
        const all = Effect.map(prometheus.query('{__name__=~"vmcp_keepalive_.+"}'), figuresOf)
        // the last events may be one scrape behind
        yield* Prometheus.until("it has scraped the last events", all, (found) => same(found, expected)).pipe(
          Effect.ignore
        )
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
        const query = asked(expr)
        const series = yield* instant ? prometheus.query(query) : prometheus.range(query, began, step)
        assert.isNotEmpty(series)
        for (const { labels, values } of series) {
          assert.isTrue(values.some(Number.isFinite), JSON.stringify(labels))
          for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.property(labels, label)
        }
      })
    )

    it.effect.each(toCount)(
      "shows as many as there were in the panel $title: $legend",
      ({ legend, metric, title, ...only }) =>
        Effect.gen(function* () {
          const { began, endpoint, expected, prometheus } = yield* Fleet
          const target = Shipped.targetOf(title, legend)
          const [label] = Shipped.legendLabels(target)
          const counted = sums(
            seriesOf(expected, metric, endpoint).filter(
              ({ labels }) => labels["outcome"] === (only.outcome ?? labels["outcome"])
            ),
            label
          )
          assert.isNotEmpty(counted)
          const bars = Effect.map(prometheus.range(asked(target.expr), began, Duration.toSeconds(bar)), (series) =>
            sums(series, label)
          )
          // the last bar may not be over
          yield* Prometheus.until("the bars are complete", bars, (found) => same(found, counted)).pipe(
            Effect.timeout("20 seconds"),
            Effect.ignore
          )
          assert.deepStrictEqual(yield* bars, counted)
        })
    )

    it.effect("shows who is in which state, for how long and why", () =>
      Effect.gen(function* () {
        const { began, expected, prometheus } = yield* Fleet
        const current = { failing: "CircuitOpen", flapping: "Isolated", locked: "NeedsAuth", steady: "Isolated" }
        const table = (title: string, legend?: string) => prometheus.query(asked(Shipped.targetOf(title, legend).expr))

        const states = sums(yield* table("Backends by state, now"), "state")
        const none = Object.fromEntries(On.tags.map((tag) => [tag, 0]))
        assert.deepStrictEqual(states, { ...none, CircuitOpen: 1, Isolated: 2, NeedsAuth: 1 })
        assert.deepStrictEqual(sums(yield* table("Without a session", "without a session")), { "": 2 })
        assert.deepStrictEqual(sums(yield* table("Without a session", "of them required")), { "": 1 })
        assert.deepStrictEqual(sums(yield* table("Backends")), { "": 5 })
        assert.deepStrictEqual(sums(yield* table("Calls in flight"), "backend_id"), {
          failing: 0,
          flapping: 0,
          steady: 0
        })

        const rows = yield* table("Backends that are not Connected")
        assert.deepStrictEqual(
          Object.fromEntries(rows.map(({ labels }) => [labels["backend_id"], labels["state"]])),
          current
        )
        for (const { values } of rows) {
          assert.isAtLeast(values[0] ?? Number.NaN, 0)
          assert.isBelow(values[0] ?? Number.NaN, Date.now() / 1000 - began)
        }

        const timeline = Shipped.targetOf("State")
        const drawn = timeline.panel.fieldConfig.defaults.mappings?.[0]?.options ?? {}
        for (const { labels, values } of yield* prometheus.range(asked(timeline.expr), began, step)) {
          const { backend_id = "" } = labels
          assert.strictEqual(drawn[`${values.at(-1)}`]?.text, Reflect.get(current, backend_id), backend_id)
        }

        // of those that should be Connected and are not
        const why = Shipped.panels.find(({ title }) => title === "Why they are not Connected")?.targets ?? []
        assert.deepStrictEqual(
          why.map(({ refId }) => refId),
          Object.keys(reasons)
        )
        for (const { expr, refId } of why) {
          const down = seriesOf(expected, Reflect.get(reasons, refId)).filter(({ labels }) =>
            ["failing", "locked"].includes(labels["backend_id"] ?? "")
          )
          assert.isNotEmpty(down)
          const found = yield* prometheus.query(asked(expr))
          const row = ({ labels, values }: Prometheus.Series) =>
            `${labels["backend_id"]} ${labels["reason"]} ${values[0]}`
          assert.sameMembers(found.map(row), down.map(row))
        }
      })
    )

    it.effect("shows shares that are those of the calls", () =>
      Effect.gen(function* () {
        const { began, expected, prometheus } = yield* Fleet
        const calls = Shipped.targetOf("Calls by outcome")
        const share = Shipped.targetOf("Share of calls that were not simply ok")
        const query = `(${asked(share.expr)}) * on () group_left () sum (${asked(calls.expr)})`
        const counted = sums(seriesOf(expected, "call_total"), "outcome")
        delete counted["ok"]
        const found = sums(yield* prometheus.range(query, began, Duration.toSeconds(bar)), "outcome")
        assert.sameMembers(Object.keys(found), Object.keys(counted))
        for (const [outcome, count] of Object.entries(counted)) {
          assert.closeTo(found[outcome] ?? Number.NaN, count, 1e-6, outcome)
        }
      })
    )

    it.effect("shows how long the probes of each backend took", () =>
      Effect.gen(function* () {
        const { began, expected, prometheus } = yield* Fleet
        const { panel } = Shipped.targetOf("Probe latency", "{{backend_id}} p50")
        for (const { expr } of panel.targets) {
          const found = yield* prometheus.range(asked(expr), began, Duration.toSeconds(bar))
          assert.sameMembers(
            found.map(({ labels }) => `vmcp_keepalive_success_total{backend_id="${labels["backend_id"]}"}`),
            Object.keys(expected).filter((series) => series.startsWith("vmcp_keepalive_success_total"))
          )
          // servers answer after 3 ms, as timers go; a busy machine measures more
          for (const value of found.flatMap(({ values }) => values)) {
            assert.isAbove(value, 0.001)
            assert.isBelow(value, 1)
          }
        }
      })
    )

    it.effect("would not see a circuit that opened for the first time with increase() alone", () =>
      Effect.gen(function* () {
        const { began, prometheus } = yield* Fleet
        const naive = yield* prometheus.range("increase(vmcp_keepalive_auto_disabled_total[5s])", began, step)
        assert.strictEqual(Math.max(...naive.flatMap(({ values }) => values)), 0)
      })
    )

    it.effect("offers the jobs, instances and backends to choose from", () =>
      Effect.gen(function* () {
        const { endpoint, prometheus } = yield* Fleet
        const offered: Record<string, ReadonlyArray<string>> = {}
        for (const { definition = "", name } of Shipped.dashboard.templating.list) {
          const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
          if (selector === undefined || label === undefined) continue
          offered[name] = yield* prometheus.labelValues(asked(selector), label)
        }
        assert.deepStrictEqual(offered, {
          job: ["gateway"],
          instance: [endpoint],
          backend: ["failing", "flapping", "locked", "steady"]
        })
      })
    )

    it.effect.each(Shipped.alerts)("has data for the alert $alert, whatever its threshold", ({ expr }) =>
      Effect.gen(function* () {
        const { prometheus } = yield* Fleet
        const sides = expr.split(/\s(?:and ignoring|unless on) \(\w+\)\s/)
        for (const side of sides) {
          // a comparison with bool answers 0 or 1, and drops nothing
          const query = side.replaceAll(/(==|>=|>|<) (?=[\d.]+\s*$)/g, "$1 bool ")
          assert.notStrictEqual(query, side)
          const series = yield* prometheus.query(query)
          assert.isNotEmpty(series, side)
          const isOfBackends = !/vmcp_keepalive_(dropped_total|backends|cluster_lease)|by \(job\)/.test(side)
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
          "McpBackendOverloaded steady",
          "McpBackendNeedsCredentials locked",
          "McpMetricsDropped ",
          "McpClusterLeaseShort "
        ])
      })
    )
  })
})
