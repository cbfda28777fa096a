/**
 * The metrics as a `MetricProducer`, for an app that makes the readers of its `MeterProvider` itself.
 *
 * Beside `KeepaliveMetrics.layerOtel` it costs nothing per event, has no limit of 2,000 series, and the series of a
 * removed backend do disappear. It stands in a module of its own because it needs `@effect/opentelemetry`,
 * `@opentelemetry/sdk-metrics` and `@opentelemetry/resources`, which nothing else of this package does.
 *
 * ```ts
 * import { MeterProvider, PeriodicExportingMetricReader, type PushMetricExporter } from "@opentelemetry/sdk-metrics"
 * import * as KeepaliveProducer from "@vmcp-keepalive/otel/KeepaliveProducer"
 * import { Effect } from "effect"
 *
 * // with KeepaliveMetrics.layer() in the context
 * export const providerOf = Effect.fnUntraced(function* (exporter: PushMetricExporter) {
 *   const producer = yield* KeepaliveProducer.make()
 *   const reader = new PeriodicExportingMetricReader({ exporter, metricProducers: [producer] })
 *   return new MeterProvider({ readers: [reader] })
 * })
 * ```
 */
import * as OtelMetrics from "@effect/opentelemetry/OtelMetrics"
import { Resource } from "@effect/opentelemetry/Resource"
import { emptyResource } from "@opentelemetry/resources"
import type { MetricData, MetricProducer } from "@opentelemetry/sdk-metrics"
import * as Effect from "effect/Effect"
import * as Catalog from "./internal/catalog.ts"
import { scope } from "./internal/otlpData.ts"

/**
 * Makes a producer for one reader: with `delta` it remembers what that reader has collected. Default: `cumulative`
 *
 * @since 0.1.0
 */
export const make = (options: { readonly temporality?: OtelMetrics.TemporalityPreference | undefined } = {}) =>
  Effect.map(
    // a reader keeps the resource of its own provider
    Effect.provideService(OtelMetrics.makeProducer(options.temporality), Resource, emptyResource()),
    (producer): MetricProducer => ({
      collect: async (collectOptions) => {
        const { errors, resourceMetrics } = await producer.collect(collectOptions)
        const metrics = resourceMetrics.scopeMetrics.flatMap((scoped) => scoped.metrics).flatMap(described)
        return {
          errors,
          resourceMetrics: { resource: resourceMetrics.resource, scopeMetrics: [{ scope: { name: scope }, metrics }] }
        }
      }
    })
  )

/** Ours, with the unit that the registry does not know. */
const described = (metric: MetricData): ReadonlyArray<MetricData> => {
  const entry = Catalog.all.get(metric.descriptor.name)
  return entry === undefined ? [] : [{ ...metric, descriptor: { ...metric.descriptor, unit: entry.unit } }]
}
