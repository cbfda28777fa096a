/**
 * What an exporter reads: the figures of this package, and nothing else of the registry.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Catalog from "./catalog.ts"

type Of<Type extends Metric.Metric.Type> = Extract<Metric.Metric.Snapshot, { readonly type: Type }>
type Point = Of<"Counter"> | Of<"Gauge"> | Of<"Histogram">

/** One metric with all its series. */
export interface Family {
  readonly entry: Catalog.Entry
  readonly points: ReadonlyArray<Point>
}

/** Reads everything at once, so that figures fit together. */
export const reader: Effect.Effect<() => ReadonlyArray<Family>> = Effect.map(Metric.MetricRegistry, (registry) => {
  const context = Context.make(Metric.MetricRegistry, registry)
  return () => {
    const families = new Map<string, { readonly entry: Catalog.Entry; readonly points: Array<Point> }>()
    for (const point of Metric.snapshotUnsafe(context)) {
      const entry = Catalog.all.get(point.id)
      if (entry === undefined || point.type === "Frequency" || point.type === "Summary") continue
      const family = families.get(point.id)
      if (family) family.points.push(point)
      else families.set(point.id, { entry, points: [point] })
    }
    return [...families.values()]
  }
})
