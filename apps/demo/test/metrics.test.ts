/** The program's metrics, as a real Prometheus knows them while the tour is played. */
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { expect, test } from "vitest"
import { start, until } from "./program.ts"

/** The five metrics of the vMCP gateway. */
const seeds = {
  vmcp_keepalive_attempt_total: "counter",
  vmcp_keepalive_success_total: "counter",
  vmcp_keepalive_failure_total: "counter",
  vmcp_keepalive_latency_seconds: "histogram",
  vmcp_keepalive_auto_disabled_total: "counter"
}
const families = [...Object.keys(seeds), "vmcp_keepalive_call_total", "vmcp_keepalive_reconnect_total"]
const familyOf = ({ labels }: Prometheus.Series) => labels["__name__"]?.replace(/_(bucket|sum|count)$/, "") ?? ""
const backendOf = ({ labels }: Prometheus.Series) => labels["backend_id"] ?? ""
const valueOf = ({ values }: Prometheus.Series) => values[0] ?? Number.NaN
const ours = '{__name__=~"vmcp_keepalive_.+"}'

/** What only grows, by its series. */
const growing = (series: ReadonlyArray<Prometheus.Series>) =>
  new Map(
    series
      .filter((one) => families.includes(familyOf(one)))
      .map((one) => {
        const { instance: _instance, job: _job, ...own } = one.labels
        return [JSON.stringify(Object.entries(own).toSorted()), { family: familyOf(one), value: valueOf(one) }] as const
      })
  )

/** The values of the state series of each backend, the highest first. */
const statesOf = (series: ReadonlyArray<Prometheus.Series>) => {
  const states = series.filter((one) => familyOf(one) === "vmcp_keepalive_state")
  return [...new Set(states.map(backendOf))].map((backend) => ({
    backend,
    values: states
      .filter((one) => backendOf(one) === backend)
      .map(valueOf)
      .toSorted((a, b) => b - a)
  }))
}

const oneOfNine = [1, 0, 0, 0, 0, 0, 0, 0, 0]

/** How often the program itself said that a circuit opened. */
const openingsIn = (printed: string) => [...printed.matchAll(/ → CircuitOpen /g)].length

test.skipIf(Prometheus.isMissingFor("the demo's metrics in Prometheus:"))(
  "Prometheus scrapes the five metrics of the vMCP gateway, with their types and true counts",
  () =>
    Effect.gen(function* () {
      const { child, ended, left, output } = yield* Effect.promise(() => start("--port", "0"))
      const printedUrl = () => /^metrics +(http:\/\/127\.0\.0\.1:\d+\/metrics)$/m.exec(output.stdout)?.[1]
      yield* Effect.promise(() => until(() => printedUrl() !== undefined))
      const url = printedUrl() ?? ""
      const page = Effect.map(Prometheus.read(url), Prometheus.seriesOf)

      yield* Effect.gen(function* () {
        const prometheus = yield* Prometheus.make({ target: new URL(url).host })
        yield* Prometheus.until("all five have data", prometheus.query(ours), (series) =>
          Object.keys(seeds).every((seed) => series.some((one) => familyOf(one) === seed && valueOf(one) > 0))
        )

        const metadata = yield* prometheus.metadata
        const types = Object.keys(seeds).map((name) => [name, metadata[name]?.map(({ type }) => type)])
        expect(types).toEqual(Object.entries(seeds).map(([name, type]) => [name, [type]]))

        // What it answers is what it scraped last: after the first page was read, and before the second is.
        const printedBefore = openingsIn(output.stdout)
        const before = growing(yield* page)
        const readAt = Date.now() / 1000
        yield* Prometheus.until(
          "it has scraped after the first page",
          prometheus.query("min(timestamp(vmcp_keepalive_state))"),
          ([scraped]) => scraped !== undefined && valueOf(scraped) > readAt + 0.01
        )
        const answered = yield* Prometheus.until("it answers", prometheus.query(ours), (series) => series.length > 0)
        const lastPage = yield* page
        const after = growing(lastPage)

        const known = growing(answered)
        expect([...before.keys()].filter((series) => !known.has(series))).toEqual([])
        const wrong = [...known].filter(([series, { value }]) => {
          const least = before.get(series)?.value ?? 0
          const most = after.get(series)?.value ?? -1
          return !(least <= value && value <= most)
        })
        expect(wrong).toEqual([])
        // Of each some series stood still meanwhile, and is exactly what the pages say.
        const still = [...known].filter(([series]) => before.get(series)?.value === after.get(series)?.value)
        expect(new Set(still.map(([, { family }]) => family))).toEqual(new Set(families))

        for (const series of [answered, lastPage]) {
          const states = statesOf(series)
          expect(states.length).toBeGreaterThanOrEqual(2)
          for (const { backend, values } of states) expect({ backend, values }).toEqual({ backend, values: oneOfNine })
        }
        // Whoever is called all the time needs no probe, so not every backend has the five.
        const backends = (names: ReadonlyArray<string>) =>
          new Set(answered.filter((one) => names.includes(familyOf(one))).map(backendOf))
        expect(backends(Object.keys(seeds)).size).toBeGreaterThanOrEqual(2)
        expect([...backends(["vmcp_keepalive_call_total"])]).toEqual(
          expect.arrayContaining(["everything", "scripted-sh"])
        )

        // It ends although Prometheus keeps a connection to it.
        child.kill("SIGINT")
        expect(yield* Effect.promise(() => ended)).toEqual([130, null])
        const opened = answered
          .filter((one) => familyOf(one) === "vmcp_keepalive_auto_disabled_total")
          .reduce((sum, one) => sum + valueOf(one), 0)
        expect(opened).toBeGreaterThanOrEqual(Math.max(1, printedBefore))
        expect(opened).toBeLessThanOrEqual(openingsIn(output.stdout))
      }).pipe(Effect.scoped)
      expect(yield* Effect.promise(left)).toEqual([])
    }).pipe(Effect.runPromise)
)
