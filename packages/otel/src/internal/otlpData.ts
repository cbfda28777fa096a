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
  /** What is there at a time. */
  readonly look: (families: ReadonlyArray<Family>, at: bigint) => void
  /** In nanoseconds, as OTLP writes them; of a series that was there at the last look. */
  readonly of: (attributes: object) => string
}

/** `start`: no figure is older. */
export const beginnings = (start: bigint): Beginnings => {
  // the registry keeps one object for the attributes of a series, as long as the series lives
  const known = new WeakMap<object, string>()
  let last = String(start)
  return {
    look: (families, at) => {
      for (const { points } of families) {
        for (const { attributes = none } of points) if (!known.has(attributes)) known.set(attributes, last)
      }
      last = String(at)
    },
    of: (attributes) => known.get(attributes) ?? last
  }
}

/** The attributes of a series that has none. */
const none: Readonly<Record<string, string>> = {}

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
  const timed = (attributes = none) => ({
    attributes: OtlpResource.entriesToAttributes(Object.entries(attributes)),
    startTimeUnixNano: beginnings.of(attributes),
    timeUnixNano: at
  })
  const numbers = () =>
    points.flatMap((point) => {
      if (point.type === "Histogram") return []
      const value = Number("count" in point.state ? point.state.count : point.state.value)
      // a time may be a fraction, which as an integer would make the whole message unreadable
      return [{ ...timed(point.attributes), ...(unit === "s" ? { asDouble: value } : { asInt: value }) }]
    })
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

/** How many data points a collector says, in JSON, that it did not take of a message that it did take. */
export const rejectedPoints = (answer: string): number => {
  try {
    const { partialSuccess } = JSON.parse(answer)
    return Number(partialSuccess?.rejectedDataPoints ?? 0)
  } catch {
    return 0
  }
}
