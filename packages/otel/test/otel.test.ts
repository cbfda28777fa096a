/** A MeterProvider of the app's own, with the readers and exporters that OpenTelemetry has. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { resourceFromAttributes } from "@opentelemetry/resources"
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  type MetricData,
  MeterProvider,
  type MetricProducer,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveMetrics } from "../src/index.ts"
import * as KeepaliveProducer from "../src/KeepaliveProducer.ts"
import * as On from "./support.ts"

let leftovers: Leftovers.Leftovers
beforeAll(async () => {
  leftovers = await Effect.runPromise(Leftovers.make())
})
afterAll(() => Effect.runPromise(leftovers.check))

/** A stock provider with a stock reader, which exports only when it is told to. */
const provider = (temporality = AggregationTemporality.CUMULATIVE, metricProducers: Array<MetricProducer> = []) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const exporter = new InMemoryMetricExporter(temporality)
        const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000, metricProducers })
        const resource = resourceFromAttributes({ "service.name": "the app" })
        return { exporter, meterProvider: new MeterProvider({ readers: [reader], resource }) }
      }),
      ({ meterProvider }) => Effect.promise(() => meterProvider.shutdown())
    ),
    ({ exporter, meterProvider }) => ({ meterProvider, ...reading(exporter, meterProvider) })
  )

const reading = (exporter: InMemoryMetricExporter, meterProvider: MeterProvider) => {
  const exported = Effect.promise(async () => {
    exporter.reset()
    await meterProvider.forceFlush()
    const [batch] = exporter.getMetrics()
    return batch
  })
  const metrics = Effect.map(exported, (batch) => (batch?.scopeMetrics ?? []).flatMap(({ metrics }) => metrics))
  const figures = Effect.map(metrics, (metrics) =>
    Object.fromEntries(
      metrics
        .filter(({ descriptor }) => descriptor.name !== On.backends)
        .flatMap(({ dataPoints, descriptor }) =>
          dataPoints.map(({ attributes, value }) => [
            On.seriesName(descriptor.name, attributes),
            typeof value === "number" ? value : value.count
          ])
        )
    )
  )
  return { exported, metrics, figures }
}

const everything = [
  On.sent,
  On.answered("3 millis"),
  On.missed("timeout"),
  On.suppressed,
  On.opened("reset"),
  On.listed,
  On.connected(),
  On.refused(),
  On.connected(2),
  On.sessionClosed("reset"),
  ...On.outcomes.flatMap((outcome) => [On.callBegan, On.called(outcome)]),
  On.callBegan,
  On.callQueued,
  On.replayDenied,
  On.sessionExpired,
  On.reconfigured(true),
  On.changed("Connected", "Unhealthy")
]

/** Name, kind, unit, whether it only grows, labels. */
const table = [
  ["vmcp_keepalive_attempt_total", DataPointType.SUM, "", true, ["backend_id"]],
  ["vmcp_keepalive_auto_disabled_total", DataPointType.SUM, "", true, ["backend_id", "reason"]],
  ["vmcp_keepalive_backends", DataPointType.GAUGE, "", undefined, []],
  ["vmcp_keepalive_call_duration_seconds", DataPointType.HISTOGRAM, "s", undefined, ["backend_id", "outcome"]],
  ["vmcp_keepalive_call_total", DataPointType.SUM, "", true, ["backend_id", "outcome"]],
  ["vmcp_keepalive_calls_in_flight", DataPointType.GAUGE, "", undefined, ["backend_id"]],
  ["vmcp_keepalive_calls_queued", DataPointType.GAUGE, "", undefined, ["backend_id"]],
  ["vmcp_keepalive_connect_failure_total", DataPointType.SUM, "", true, ["backend_id", "reason"]],
  ["vmcp_keepalive_failure_total", DataPointType.SUM, "", true, ["backend_id", "reason"]],
  ["vmcp_keepalive_latency_seconds", DataPointType.HISTOGRAM, "s", undefined, ["backend_id"]],
  ["vmcp_keepalive_list_changes_total", DataPointType.SUM, "", true, ["backend_id", "change", "kind"]],
  ["vmcp_keepalive_reconnect_total", DataPointType.SUM, "", true, ["backend_id", "outcome"]],
  ["vmcp_keepalive_rejected_total", DataPointType.SUM, "", true, ["backend_id", "reason"]],
  ["vmcp_keepalive_replay_denied_total", DataPointType.SUM, "", true, ["backend_id"]],
  ["vmcp_keepalive_required", DataPointType.GAUGE, "", undefined, ["backend_id"]],
  ["vmcp_keepalive_session_expired_total", DataPointType.SUM, "", true, ["backend_id"]],
  ["vmcp_keepalive_session_lost_total", DataPointType.SUM, "", true, ["backend_id", "reason"]],
  ["vmcp_keepalive_state", DataPointType.GAUGE, "", undefined, ["backend_id", "state"]],
  ["vmcp_keepalive_success_total", DataPointType.SUM, "", true, ["backend_id"]],
  ["vmcp_keepalive_suppressed_total", DataPointType.SUM, "", true, ["backend_id"]]
]

const described = (metrics: ReadonlyArray<MetricData>) =>
  metrics
    .map((metric) => {
      assert.isNotEmpty(metric.descriptor.description)
      const labels = metric.dataPoints.map(({ attributes }) => Object.keys(attributes))
      for (const other of labels) assert.deepStrictEqual(other, labels[0])
      const { name, unit } = metric.descriptor
      return [name, metric.dataPointType, unit, "isMonotonic" in metric ? metric.isMonotonic : undefined, labels[0]]
    })
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1))

const expected = (): On.Figures => {
  const oracle = On.makeOracle()
  for (const backend of ["a", "b"]) {
    for (const happening of everything) oracle.observer({ ...happening, backend, at: 0 })
  }
  return oracle.expected()
}

describe("layerOtel", () => {
  it.live("hands every figure to a stock MeterProvider with a stock reader: names, units, monotonic, labels", () =>
    Effect.gen(function* () {
      const { exported, figures, meterProvider, metrics } = yield* provider()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", ...everything)
        tell("b", ...everything)
        assert.deepStrictEqual(described(yield* metrics), table)
        assert.deepStrictEqual(yield* figures, expected())
        assert.deepStrictEqual(yield* On.figures, expected())
        const batch = yield* exported
        assert.strictEqual(batch?.resource.attributes["service.name"], "the app")
        assert.deepStrictEqual(
          batch?.scopeMetrics.map(({ scope }) => scope.name),
          ["@vmcp-keepalive/otel"]
        )
      }).pipe(Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("gives the histograms the bounds that the registry has", () =>
    Effect.gen(function* () {
      const { meterProvider, metrics } = yield* provider()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        for (const latency of [1, 3, 31_000]) tell("a", On.answered(latency))
        for (const duration of [10, 30, 301_000]) tell("a", On.callBegan, On.called("ok", duration))
        const all = yield* metrics
        const histogram = (name: string) => {
          const value = all.find(({ descriptor }) => descriptor.name === name)?.dataPoints[0]?.value
          if (typeof value !== "object" || !("buckets" in value)) return assert.fail("no histogram")
          return { ...value.buckets, sum: value.sum }
        }
        assert.deepStrictEqual(histogram("vmcp_keepalive_latency_seconds"), {
          boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
          counts: [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
          sum: 31.004
        })
        assert.deepStrictEqual(histogram("vmcp_keepalive_call_duration_seconds"), {
          boundaries: [0.01, 0.05, 0.2, 1, 5, 30, 120, 300],
          counts: [1, 1, 0, 0, 0, 0, 0, 0, 1],
          sum: 301.04
        })
      }).pipe(Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("gives a delta reader what happened since the last time", () =>
    Effect.gen(function* () {
      const { figures, meterProvider } = yield* provider(AggregationTemporality.DELTA)
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent, On.sent)
        const counts = Effect.map(figures, On.countsOf)
        assert.deepStrictEqual(yield* counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 2 })
        tell("a", On.sent)
        assert.deepStrictEqual(yield* counts, { 'vmcp_keepalive_attempt_total{backend_id="a"}': 1 })
        assert.deepStrictEqual(yield* counts, {})
      }).pipe(Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("loses nothing that happened after the last export when it closes before the provider", () =>
    Effect.gen(function* () {
      const { figures, meterProvider } = yield* provider()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", ...everything)
        yield* figures
        tell("b", ...everything)
      }).pipe(Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })))
      // but for what is in flight
      const ended = Object.entries(expected()).map(([series, figure]) => [
        series,
        series.startsWith("vmcp_keepalive_calls_") ? 0 : figure
      ])
      assert.deepStrictEqual(yield* figures, Object.fromEntries(ended))
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("counts once over another exporter's layer, in the registry and in the provider", () =>
    Effect.gen(function* () {
      const { figures, meterProvider } = yield* provider()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", ...everything)
        tell("b", ...everything)
        assert.deepStrictEqual(yield* figures, expected())
        assert.deepStrictEqual(yield* On.figures, expected())
      }).pipe(
        Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })),
        Effect.provide(KeepaliveMetrics.layerPrometheus({ port: 0 })),
        Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider }))
      )
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("KeepaliveProducer", () => {
  const producing = Effect.gen(function* () {
    const producer = yield* KeepaliveProducer.make()
    return yield* provider(AggregationTemporality.CUMULATIVE, [producer])
  })

  it.live("gives a stock reader the same, of the whole registry only what is ours, and no unit as a label", () =>
    Effect.gen(function* () {
      const { exported, figures, metrics } = yield* producing
      yield* Metric.update(Metric.counter("of_the_app_total"), 1)
      const tell = yield* On.tell
      tell("a", ...everything)
      tell("b", ...everything)
      assert.deepStrictEqual(described(yield* metrics), table)
      assert.deepStrictEqual(yield* figures, expected())
      assert.strictEqual((yield* exported)?.resource.attributes["service.name"], "the app")
    }).pipe(Effect.scoped, Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.effect("lets the series of a removed backend disappear from a cumulative reader", () =>
    Effect.gen(function* () {
      const { figures } = yield* producing
      const tell = yield* On.tell
      tell("a", ...everything, On.changed("Unhealthy", "Closed"))
      assert.strictEqual((yield* figures)['vmcp_keepalive_state{backend_id="a",state="Closed"}'], 1)
      yield* TestClock.adjust("1 minute")
      tell("b", On.sent)
      assert.deepStrictEqual(yield* figures, {
        'vmcp_keepalive_attempt_total{backend_id="b"}': 1,
        ...On.stateFigures("b", "Connecting")
      })
    }).pipe(Effect.scoped, Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.live("has room for more than the 2,000 series at which a MeterProvider begins to merge them", () =>
    Effect.gen(function* () {
      const { figures } = yield* producing
      const tell = yield* On.tell
      for (let count = 0; count < 3000; count++) tell(`${count}`, On.sent)
      assert.strictEqual(Object.keys(yield* figures).length, 3000 * 10)
    }).pipe(Effect.scoped, Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.live("gives a delta reader what happened since the last time", () =>
    Effect.gen(function* () {
      const producer = yield* KeepaliveProducer.make({ temporality: "delta" })
      const { figures, metrics } = yield* provider(AggregationTemporality.DELTA, [producer])
      const tell = yield* On.tell
      tell("a", On.sent, On.sent)
      assert.strictEqual((yield* figures)['vmcp_keepalive_attempt_total{backend_id="a"}'], 2)
      tell("a", On.sent)
      const metric = (yield* metrics).find(({ descriptor }) => descriptor.name === "vmcp_keepalive_attempt_total")
      assert.strictEqual(metric?.dataPoints[0]?.value, 1)
      assert.strictEqual(metric?.aggregationTemporality, AggregationTemporality.DELTA)
    }).pipe(Effect.scoped, Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )
})

describe("OpenTelemetry's own Prometheus exporter", () => {
  it.live("changes no name, whichever way it gets the figures", () =>
    Effect.gen(function* () {
      const names = (text: string) =>
        [...text.matchAll(/^# TYPE (vmcp_\S+) /gm)]
          .map(([, name]) => name)
          .toSorted((a = "", b = "") => (a < b ? -1 : 1))
      const scrape = (reader: PrometheusExporter) =>
        Effect.callback<string>((resume) => {
          const response = { statusCode: 0, setHeader: () => {}, end: (text: string) => resume(Effect.succeed(text)) }
          Reflect.apply(reader.getMetricsRequestHandler, reader, [{}, response])
        })
      const stock = () => new PrometheusExporter({ preventServerStart: true })
      const ours = table.map(([name]) => name)

      const instruments = stock()
      const meterProvider = new MeterProvider({ readers: [instruments] })
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", ...everything)
        assert.deepStrictEqual(names(yield* scrape(instruments)), ours)

        const produced = new PrometheusExporter({
          preventServerStart: true,
          metricProducers: [yield* KeepaliveProducer.make()]
        })
        const other = new MeterProvider({ readers: [produced] })
        assert.deepStrictEqual(names(yield* scrape(produced)), ours)
        yield* Effect.promise(() => other.shutdown())
      }).pipe(Effect.provide(KeepaliveMetrics.layerOtel({ meterProvider })))
      yield* Effect.promise(() => meterProvider.shutdown())
    }).pipe(On.isolated)
  )
})
