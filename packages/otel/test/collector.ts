/** A collector: a real HTTP server that decodes what arrives, in both of OTLP's encodings. */
import { Effect, Queue } from "effect"
import * as diagnostics from "node:diagnostics_channel"
import * as http from "node:http"
import { setImmediate as turn } from "node:timers/promises"
import { gunzipSync } from "node:zlib"
import * as On from "./support.ts"

export interface Point {
  readonly attributes: Readonly<Record<string, string>>
  readonly start: bigint
  readonly time: bigint
  readonly value: number | Histogram
}
export interface Histogram {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly bounds: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
}
export interface Received {
  readonly name: string
  readonly description: string
  readonly unit: string
  readonly kind: "sum" | "gauge" | "histogram"
  /** 2: cumulative */
  readonly temporality: number | undefined
  readonly monotonic: boolean | undefined
  readonly points: ReadonlyArray<Point>
}
export interface Export {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly raw: Buffer
  readonly resource: Readonly<Record<string, string>>
  readonly scope: string
  readonly metrics: ReadonlyArray<Received>
}

/** What it does with a request: answers with a status; takes it, but not all that is in it; or never answers. */
type Answer = number | "partial" | "silent" | { readonly status: number; readonly retryAfter: string }

/** With all requests, or with those to come, one after the other; as with the last one then. */
export type Manner = Answer | ReadonlyArray<Answer>

export interface Collector {
  readonly url: string
  readonly port: number
  manner: Manner
  /** how many requests came, answered or not */
  readonly requests: () => number
  readonly exports: ReadonlyArray<Export>
  /** waits for the next export */
  readonly next: Effect.Effect<Export>
  /** waits until no request to it is under way in this process: each that was begun has been answered, and that was read */
  readonly quiet: Effect.Effect<void>
}

export const make = (port = 0) =>
  Effect.gen(function* () {
    const exports: Array<Export> = []
    const queue = yield* Queue.unbounded<Export>()
    let requests = 0
    const state: { manner: Manner } = { manner: 200 }
    const server = http.createServer((request, response) => {
      const parts: Array<Buffer> = []
      request.on("data", (part) => parts.push(part))
      request.on("end", () => {
        requests++
        const [answer = 200, ...then] = Array.isArray(state.manner) ? state.manner : [state.manner]
        if (then.length > 0) state.manner = then
        if (answer === "silent") return
        if (typeof answer === "object") {
          return void response.writeHead(answer.status, { "retry-after": answer.retryAfter }).end("{}")
        }
        if (answer === 200) {
          const received = decode(request, Buffer.concat(parts))
          exports.push(received)
          Queue.offerUnsafe(queue, received)
        }
        if (answer !== "partial") return void response.writeHead(answer).end("{}")
        response.end(JSON.stringify({ partialSuccess: { rejectedDataPoints: "9", errorMessage: "hunter2" } }))
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const address = server.address()
    const actual = typeof address === "object" && address !== null ? address.port : port
    const underWay = new Set<http.ClientRequest>()
    const begun = (message: unknown) => {
      const request: unknown = Object(message).request
      if (!(request instanceof http.ClientRequest) || request.getHeader("host") !== `127.0.0.1:${actual}`) return
      underWay.add(request)
      request.once("close", () => underWay.delete(request))
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => diagnostics.subscribe("http.client.request.created", begun)),
      () => Effect.sync(() => diagnostics.unsubscribe("http.client.request.created", begun))
    )
    const collector: Collector = {
      url: `http://127.0.0.1:${actual}/v1/metrics`,
      port: actual,
      get manner() {
        return state.manner
      },
      set manner(manner) {
        state.manner = manner
      },
      requests: () => requests,
      exports,
      next: Queue.take(queue),
      quiet: Effect.promise(async () => {
        // what is due begins in a turn, and goes on in one with what it was answered
        await turn()
        while (underWay.size > 0) await turn()
        await turn()
      })
    }
    return collector
  })

/** By series, as `On.figures`: but for the number of backends. */
export const figuresOf = (metrics: ReadonlyArray<Received>): On.Figures =>
  Object.fromEntries(
    metrics
      .filter(({ name }) => name !== On.backends)
      .flatMap(({ name, points }) =>
        points.map(({ attributes, value }) => [
          On.seriesName(name, attributes),
          typeof value === "number" ? value : value.count
        ])
      )
  )

// -------------------------------------------------------------------------------------------------------------- decode

const decode = (request: http.IncomingMessage, raw: Buffer): Export => {
  const bytes = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw
  const message: Message =
    request.headers["content-type"] === "application/json" ? JSON.parse(bytes.toString()) : read(bytes, "MetricsData")
  const [resourceMetrics] = list(message["resourceMetrics"])
  const [scopeMetrics] = list(resourceMetrics?.["scopeMetrics"])
  return {
    path: request.url ?? "",
    headers: request.headers,
    raw,
    resource: attributesOf(list(resourceMetrics?.["resource"])[0]),
    scope: String(list(scopeMetrics?.["scope"])[0]?.["name"]),
    metrics: list(scopeMetrics?.["metrics"]).map(metricOf)
  }
}

type Message = { readonly [field: string]: unknown }

const isMessage = (value: unknown): value is Message => typeof value === "object" && value !== null
const list = (value: unknown): ReadonlyArray<Message> =>
  value === undefined ? [] : (Array.isArray(value) ? value : [value]).filter(isMessage)
const numbers = (value: unknown): ReadonlyArray<number> =>
  value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(Number)

const attributesOf = (message: Message | undefined) =>
  Object.fromEntries(
    list(message?.["attributes"]).map((entry) => [
      String(entry["key"]),
      String(list(entry["value"])[0]?.["stringValue"])
    ])
  )

const metricOf = (metric: Message): Received => {
  const kind = (["sum", "gauge", "histogram"] as const).find((kind) => kind in metric)
  if (kind === undefined) throw new Error("a metric of no kind")
  const [data] = list(metric[kind])
  const temporality = data?.["aggregationTemporality"]
  return {
    name: String(metric["name"]),
    description: String(metric["description"]),
    unit: String(metric["unit"] ?? ""),
    kind,
    temporality: temporality === undefined ? undefined : Number(temporality),
    monotonic: kind === "sum" ? Boolean(data?.["isMonotonic"]) : undefined,
    points: list(data?.["dataPoints"]).map((point) => ({
      attributes: attributesOf(point),
      start: BigInt(String(point["startTimeUnixNano"])),
      time: BigInt(String(point["timeUnixNano"])),
      value:
        kind === "histogram"
          ? {
              count: Number(point["count"]),
              sum: Number(point["sum"]),
              min: Number(point["min"]),
              max: Number(point["max"]),
              bounds: numbers(point["explicitBounds"]),
              counts: numbers(point["bucketCounts"])
            }
          : // an int64 with a fraction is none, and a collector takes nothing of the message
            Number(point["asInt"] === undefined ? point["asDouble"] : BigInt(String(point["asInt"])))
    }))
  }
}

type Type = keyof typeof schema | "string" | "double" | "fixed64" | "varint"

/** The fields of opentelemetry-proto that are used, by number. */
const schema = {
  MetricsData: { 1: ["resourceMetrics", "ResourceMetrics"] },
  ResourceMetrics: { 1: ["resource", "Resource"], 2: ["scopeMetrics", "ScopeMetrics"] },
  Resource: { 1: ["attributes", "KeyValue"] },
  ScopeMetrics: { 1: ["scope", "Scope"], 2: ["metrics", "Metric"] },
  Scope: { 1: ["name", "string"] },
  Metric: {
    1: ["name", "string"],
    2: ["description", "string"],
    3: ["unit", "string"],
    5: ["gauge", "Data"],
    7: ["sum", "Data"],
    9: ["histogram", "HistogramData"]
  },
  Data: {
    1: ["dataPoints", "NumberPoint"],
    2: ["aggregationTemporality", "varint"],
    3: ["isMonotonic", "varint"]
  },
  HistogramData: { 1: ["dataPoints", "HistogramPoint"], 2: ["aggregationTemporality", "varint"] },
  NumberPoint: {
    2: ["startTimeUnixNano", "fixed64"],
    3: ["timeUnixNano", "fixed64"],
    4: ["asDouble", "double"],
    6: ["asInt", "fixed64"],
    7: ["attributes", "KeyValue"]
  },
  HistogramPoint: {
    2: ["startTimeUnixNano", "fixed64"],
    3: ["timeUnixNano", "fixed64"],
    4: ["count", "fixed64"],
    5: ["sum", "double"],
    6: ["bucketCounts", "fixed64"],
    7: ["explicitBounds", "double"],
    9: ["attributes", "KeyValue"],
    11: ["min", "double"],
    12: ["max", "double"]
  },
  KeyValue: { 1: ["key", "string"], 2: ["value", "AnyValue"] },
  AnyValue: { 1: ["stringValue", "string"] }
} as const

const fieldsOf = (type: keyof typeof schema): Readonly<Record<number, readonly [string, Type]>> => schema[type]

const read = (bytes: Buffer, type: keyof typeof schema): Message => {
  const fields = fieldsOf(type)
  const message: Record<string, Array<unknown>> = {}
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const fixed = (of: Buffer, offset: number, type: Type) =>
    type === "double" ? of.readDoubleLE(offset) : of.readBigInt64LE(offset)
  while (at < bytes.length) {
    const tag = Number(varint())
    const [name, kind] = fields[tag >> 3] ?? ["", "string"]
    const values = (message[name] ??= [])
    switch (tag & 7) {
      case 0:
        values.push(varint())
        break
      case 1:
        values.push(fixed(bytes, at, kind))
        at += 8
        break
      case 2: {
        const length = Number(varint())
        const part = bytes.subarray(at, at + length)
        at += length
        if (kind === "string") values.push(part.toString())
        else if (kind === "double" || kind === "fixed64") {
          for (let offset = 0; offset < length; offset += 8) values.push(fixed(part, offset, kind))
        } else if (kind !== "varint") values.push(read(part, kind))
        break
      }
      default:
        throw new Error(`wire type ${tag & 7}`)
    }
  }
  return Object.fromEntries(
    Object.entries(message).map(([name, values]) => [name, values.length === 1 ? values[0] : values])
  )
}
