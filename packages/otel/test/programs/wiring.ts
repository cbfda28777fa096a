/**
 * An app with two backends and telemetry, wired in every way, one after the other, in a process of its own: how many backends
 * a process has made is counted for all of it. Says of each way what was read last, and every line that was logged.
 */
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { MeterProvider, PeriodicExportingMetricReader, InMemoryMetricExporter } from "@opentelemetry/sdk-metrics"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Context, Effect, Layer, Logger, Metric } from "effect"
import { KeepaliveMetrics } from "../../src/index.ts"
import * as KeepaliveProducer from "../../src/KeepaliveProducer.ts"
import * as Collector from "../collector.ts"

type Client = ScriptedServer.ScriptedClient
class One extends Context.Service<One, Backend.Backend<Client>>()("test/One") {}
class Two extends Context.Service<Two, Backend.Backend<Client>>()("test/Two") {}

const connector = () => ScriptedServer.make().connector
const App = Layer.mergeAll(
  Layer.effect(One, Backend.make({ id: "one", connector: connector() })),
  Layer.effect(Two, Backend.make({ id: "two", connector: connector() }))
)
const Telemetry = KeepaliveMetrics.layerPrometheus({ port: 0 })

/** Reads twice: what is said once is not said again. */
const scrapes = Effect.gen(function* () {
  const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
  yield* Effect.all([One, Two])
  yield* Prometheus.read(url)
  return yield* Prometheus.read(url)
})

/** With an empty registry of its own. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

/** A provider whose reader exports when it is told to, with the figures of our layer, or of a producer in the registry. */
const provided = (meterProvider: MeterProvider) =>
  Effect.gen(function* () {
    yield* Effect.all([One, Two])
    yield* Effect.promise(() => meterProvider.forceFlush())
    yield* Effect.promise(() => meterProvider.forceFlush())
    return ""
  })
const reader = (
  metricProducers: ConstructorParameters<typeof PeriodicExportingMetricReader>[0]["metricProducers"] = []
) =>
  new PeriodicExportingMetricReader({
    exporter: new InMemoryMetricExporter(0),
    exportIntervalMillis: 3_600_000,
    ...(metricProducers.length === 0 ? {} : { metricProducers })
  })

const wirings: Readonly<Record<string, Effect.Effect<string, unknown>>> = {
  // first, while this process has no backend that no metrics know of
  provided: Effect.provide(scrapes, App.pipe(Layer.provideMerge(Telemetry))),
  "provided to the program": scrapes.pipe(Effect.provide(App), Effect.provide(Telemetry)),
  "no backend yet": Effect.gen(function* () {
    const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
    return yield* Prometheus.read(url)
  }).pipe(Effect.provide(Telemetry)),
  "no backend yet, beside an app whose telemetry has its own": Effect.provide(
    scrapes,
    App.pipe(Layer.provideMerge(KeepaliveMetrics.layerPrometheus({ port: 0 })))
  ).pipe(
    Effect.tap(() =>
      Effect.flatMap(KeepaliveMetrics.PrometheusEndpoint, ({ url }) => Prometheus.read(url)).pipe(
        Effect.provide(Telemetry),
        isolated
      )
    ),
    isolated
  ),
  merged: Effect.provide(scrapes, Layer.mergeAll(App, Telemetry)),
  "merged, telemetry first": Effect.provide(scrapes, Layer.mergeAll(Telemetry, App)),
  "in one array": Effect.provide(scrapes, [App, Telemetry]),
  "in an inner scope": Effect.provide(Effect.provide(scrapes, Telemetry), App),
  "in an inner scope that is over before the app reads": Effect.gen(function* () {
    const collector = yield* Collector.make()
    yield* Effect.all([One, Two]).pipe(Effect.provide(KeepaliveMetrics.layerOtlp({ url: collector.url })))
    return JSON.stringify(
      collector.exports.map(({ metrics }) =>
        metrics.map(({ name, points }) => [name, points.map(({ value }) => value)])
      )
    )
  }).pipe(Effect.scoped, Effect.provide(App)),
  "merged, two exporters": Effect.gen(function* () {
    const collector = yield* Collector.make()
    return yield* Effect.provide(
      scrapes,
      Layer.mergeAll(App, Telemetry, KeepaliveMetrics.layerOtlp({ url: collector.url }))
    )
  }).pipe(Effect.scoped),
  "merged, a MeterProvider": Effect.suspend(() => {
    const meterProvider = new MeterProvider({ readers: [reader()] })
    return Effect.provide(
      provided(meterProvider),
      Layer.mergeAll(App, KeepaliveMetrics.layerOtel({ meterProvider }))
    ).pipe(Effect.ensuring(Effect.promise(() => meterProvider.shutdown())))
  }),
  "merged, a producer": Effect.gen(function* () {
    const producer = yield* KeepaliveProducer.make()
    const meterProvider = new MeterProvider({ readers: [reader([producer])] })
    yield* Effect.provide(provided(meterProvider), Layer.mergeAll(App, KeepaliveMetrics.layer()))
    return yield* Effect.as(
      Effect.promise(() => meterProvider.shutdown()),
      ""
    )
  })
}

const told = []
for (const [wiring, program] of Object.entries(wirings)) {
  const lines: Array<unknown> = []
  const logger = Logger.map(Logger.formatStructured, ({ annotations, level, message }) => {
    lines.push({ annotations, level, message: String(message) })
  })
  const read = await Effect.runPromise(program.pipe(Effect.provide(Logger.layer([logger])), isolated))
  told.push({ wiring, read, lines })
}
process.send?.(told, () => process.disconnect())
