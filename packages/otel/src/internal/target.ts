/**
 * Where figures go: Effect's metric registry, or the instruments of a `MeterProvider`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Catalog from "./catalog.ts"

export type Attributes = Metric.Metric.AttributeSet

/** `Handle`: one series, with its attributes applied. */
export interface Target<Handle> {
  /** what is counted in: there is one recorder for it */
  readonly identity: object
  readonly make: (entry: Catalog.Entry, attributes: Attributes) => Handle
  /** adds to a counter, records in a histogram, sets a gauge */
  readonly update: (handle: Handle, value: number) => void
  readonly remove: (handle: Handle) => void
  /** Adds a gauge that is asked for its value whenever it is read; returns what removes it. */
  readonly observe: (entry: Catalog.Simple, attributes: Attributes, value: () => number) => () => void
}

type Handle = Metric.Counter<number> | Metric.Gauge<number> | Metric.Histogram<number>

/** The metric registry of the context. */
export const registry: Effect.Effect<Target<Handle>> = Effect.gen(function* () {
  const registry = yield* Metric.MetricRegistry
  // As small as it can be: it is searched at every update. Without the app's `CurrentMetricAttributes`: labels are ours alone.
  const context = Context.make(Metric.MetricRegistry, registry)
  return {
    identity: registry,
    make: (entry, attributes) => {
      const { description, name } = entry
      switch (entry.kind) {
        case "counter":
          return Metric.counter(name, { description, attributes, incremental: true })
        case "gauge":
          return Metric.gauge(name, { description, attributes })
        case "histogram":
          return Metric.histogram(name, { description, attributes, boundaries: entry.boundaries })
      }
    },
    update: (handle, value) => handle.updateUnsafe(value, context),
    remove: (handle) => Metric.removeUnsafe<number, unknown>(handle, context),
    observe: ({ description, name }, attributes, value) => {
      const gauge = Metric.gauge(name, { description, attributes })
      const none = () => {}
      return Metric.registerUnsafe(gauge, context, { get: () => ({ value: value() }), update: none, modify: none })
        .remove
    }
  }
})
