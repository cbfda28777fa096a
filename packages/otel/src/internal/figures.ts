/**
 * What the metrics page is made of: the figures of one moment, and nothing that would have to be collected as garbage for each
 * of them. The snapshot of 5,000 backends is 25 MB of objects, which live for as long as the page is being rendered.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Catalog from "./catalog.ts"

type Attributes = Readonly<Record<string, string>>

/** One metric with all its series. */
export interface Family {
  readonly entry: Catalog.Entry
  /** of each series, as the registry has them */
  readonly attributes: ReadonlyArray<Attributes>
  /** of all series in turn, {@link width} of each */
  readonly values: ReadonlyArray<number>
}

/** How many values a series has: a histogram one for each boundary, its sum and its count. */
export const width = (entry: Catalog.Entry): number => (entry.kind === "histogram" ? entry.boundaries.length + 2 : 1)

type State = Metric.CounterState<number | bigint> | Metric.GaugeState<number | bigint> | Metric.HistogramState

const valuesOf = (state: State): ReadonlyArray<number> => {
  if ("buckets" in state) return [...state.buckets.map(([, upTo]) => upTo), state.sum, state.count]
  return [Number("count" in state ? state.count : state.value)]
}

interface Filling extends Family {
  readonly attributes: Array<Attributes>
  readonly values: Array<number>
}

/** Reads everything at once, so that figures fit together, into the arrays of the last reading: that one is over by then. */
export const reader: Effect.Effect<() => ReadonlyArray<Family>> = Effect.map(Metric.MetricRegistry, (registry) => {
  const context = Context.make(Metric.MetricRegistry, registry)
  const families = new Map<Catalog.Entry, Filling>()
  return () => {
    const filled = new Map<Filling, number>()
    for (const { attributes = {}, hooks, id, type } of registry.values()) {
      const entry = Catalog.all.get(id)
      if (entry === undefined || type === "Frequency" || type === "Summary") continue
      const values = valuesOf(hooks.get(context))
      if (values.length !== width(entry)) continue
      const family = families.get(entry) ?? { entry, attributes: [], values: [] }
      families.set(entry, family)
      const count = filled.get(family) ?? 0
      filled.set(family, count + 1)
      family.attributes[count] = attributes
      for (const [index, value] of values.entries()) family.values[count * values.length + index] = value
    }
    for (const [family, count] of filled) {
      family.attributes.length = count
      family.values.length = count * width(family.entry)
    }
    return [...filled.keys()]
  }
})
