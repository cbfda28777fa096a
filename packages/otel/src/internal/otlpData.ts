/**
 * Figures as OTLP has them.
 *
 * All are cumulative, so that an export that is lost loses nothing.
 */
import type { MetricsData } from "effect/observability/OtlpMetrics"
import * as OtlpResource from "effect/observability/OtlpResource"
import type { Family } from "./snapshot.ts"

type Metrics = MetricsData["resourceMetrics"][number]["scopeMetrics"][number]["metrics"]
type OtlpMetric = Metrics[number]

/** Who counted. */
export const scope = "@vmcp-keepalive/otel"

const cumulative = 2

/**
 * Remembers when each series began: not before the last time that it was not there. So one that was removed and came
 * back is a new series to the collector, and no counter that ran backwards.
 */
export interface Beginnings {
  /** nanoseconds, as OTLP writes them */
  readonly of: (attributes: object) => string
  readonly exported: (at: string) => void
}

export const beginnings = (start: string): Beginnings => {
  // the registry keeps one object for the attributes of a series, as long as the series lives
  const known = new WeakMap<object, string>()
  let last = start
  return {
    of: (attributes) => {
      const since = known.get(attributes) ?? last
      known.set(attributes, since)
      return since
    },
    exported: (at) => {
      last = at
    }
  }
}

/** Messages of at most `size` data points each, made one after the other as they are taken. */
export function* messages(
  families: ReadonlyArray<Family>,
  options: {
    readonly resource: OtlpResource.Resource
    readonly beginnings: Beginnings
    readonly at: string
    readonly size: number
  }
): Generator<MetricsData> {
  const message = (metrics: Metrics): MetricsData => ({
    resourceMetrics: [{ resource: options.resource, scopeMetrics: [{ scope: { name: scope }, metrics }] }]
  })
  let metrics: Metrics = []
  let room = options.size
  for (const { entry, points } of families) {
    for (let begin = 0; begin < points.length;) {
      const part = points.slice(begin, begin + room)
      metrics.push(metricOf({ entry, points: part }, options))
      begin += part.length
      room -= part.length
      if (room > 0) continue
      yield message(metrics)
      metrics = []
      room = options.size
    }
  }
  if (metrics.length > 0) yield message(metrics)
}

const metricOf = (
  { entry, points }: Family,
  { at, beginnings }: { readonly beginnings: Beginnings; readonly at: string }
): OtlpMetric => {
  const { description, kind, name, unit } = entry
  const timed = (attributes: Readonly<Record<string, string>> = {}) => ({
    attributes: OtlpResource.entriesToAttributes(Object.entries(attributes)),
    startTimeUnixNano: beginnings.of(attributes),
    timeUnixNano: at
  })
  const numbers = () =>
    points.flatMap((point) =>
      point.type === "Histogram"
        ? []
        : [
            {
              ...timed(point.attributes),
              asInt: Number("count" in point.state ? point.state.count : point.state.value)
            }
          ]
    )
  switch (kind) {
    case "counter":
      return {
        name,
        description,
        unit,
        sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints: numbers() }
      }
    case "gauge":
      return { name, description, unit, gauge: { dataPoints: numbers() } }
    case "histogram":
      return {
        name,
        description,
        unit,
        histogram: {
          aggregationTemporality: cumulative,
          dataPoints: points.flatMap((point) => {
            if (point.type !== "Histogram") return []
            const { buckets, count, max, min, sum } = point.state
            return [
              {
                ...timed(point.attributes),
                count,
                sum,
                min,
                max,
                explicitBounds: buckets.map(([boundary]) => boundary),
                bucketCounts: [
                  ...buckets.map(([, upTo], index) => upTo - (buckets[index - 1]?.[1] ?? 0)),
                  count - (buckets.at(-1)?.[1] ?? 0)
                ]
              }
            ]
          })
        }
      }
  }
}
