/**
 * The metrics of backends: counted as things happen, and handed to Prometheus, an OTLP collector or a `MeterProvider`.
 *
 * {@link layer} counts in Effect's metric registry. {@link layerPrometheus}, {@link layerOtlp} and {@link layerOtel}
 * include it and export what it counts, and nothing else that is in the registry.
 */
import * as KeepaliveEvent from "@vmcp-keepalive/core/KeepaliveEvent"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Endpoint from "./internal/endpoint.ts"
import * as Instruments from "./internal/instruments.ts"
import * as OtlpExporter from "./internal/otlpExporter.ts"
import * as Post from "./internal/post.ts"
import * as PrometheusText from "./internal/prometheusText.ts"
import * as Recorder from "./internal/recorder.ts"
import * as Snapshot from "./internal/snapshot.ts"
import * as Target from "./internal/target.ts"

// ------------------------------------------------------------------------------------------------------------ models

/** What every layer takes. */
export interface Options {
  /** how many backends get series; what the others do is counted in `vmcp_keepalive_dropped_total`. Default: 20,000 */
  readonly maxBackends?: number
  /** how long the series of a closed backend stay, so that its last figures are exported. Default: 1 minute */
  readonly removeAfter?: Duration.Input
}

/** Of {@link layerPrometheus}. */
export interface PrometheusOptions extends Options {
  /** 0: any free one; {@link PrometheusEndpoint} says which */
  readonly port: number
  /** the address to listen on. Default: `127.0.0.1`, so that only this machine can read */
  readonly host?: string
}

/** Of {@link layerOtlp}. Where nothing else is said, defaults are those of the OpenTelemetry specification. */
export interface OtlpOptions extends Options {
  /** the whole address, such as `http://localhost:4318/v1/metrics` */
  readonly url: string
  /** credentials, for one. Default: none */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>>
  /** time between exports, shorter than `removeAfter`. Default: 30 seconds */
  readonly interval?: Duration.Input
  /** of one request; an export has several where there are more than 5,000 series. Default: 10 seconds */
  readonly timeout?: Duration.Input
  /** how long the last export may hold up the closing of the layer. Default: 3 seconds */
  readonly flushTimeout?: Duration.Input
  /**
   * How bodies are written. Default: `http/json`. `http/protobuf` is for collectors that take nothing else: Effect's
   * writer needs some ten times as long for it.
   */
  readonly protocol?: "http/json" | "http/protobuf"
  /** who exports. Default: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, or `unknown_service:node` */
  readonly resource?: {
    readonly serviceName?: string
    readonly serviceVersion?: string
    readonly attributes?: Readonly<Record<string, string>>
  }
}

/** Of {@link layerOtel}. */
export interface OtelOptions extends Options {
  /** of the app, made and shut down by it */
  readonly meterProvider: MeterProvider
}

export type { InstrumentOptions, Meter, MeterProvider } from "./internal/instruments.ts"
type MeterProvider = Instruments.MeterProvider

/** Where {@link layerPrometheus} listens. */
export class PrometheusEndpoint extends Context.Service<
  PrometheusEndpoint,
  {
    readonly host: string
    /** the real one, also where 0 was asked for */
    readonly port: number
    /** the page that Prometheus is to scrape */
    readonly url: string
  }
>()("@vmcp-keepalive/otel/PrometheusEndpoint") {}

// ------------------------------------------------------------------------------------------------------------ errors

/** The endpoint of {@link layerPrometheus} cannot listen. */
export class MetricsEndpointError extends Schema.TaggedError<MetricsEndpointError>()("MetricsEndpointError", {
  reason: Schema.Literals(["port_in_use", "not_permitted", "no_such_host", "invalid_port", "unknown"]),
  host: Schema.String,
  port: Schema.Number
}) {
  override get message() {
    return `the metrics endpoint cannot listen on ${this.host}:${this.port}: ${this.reason}`
  }
}

/** The address given to {@link layerOtlp} is none. It is not in the error: it may hold credentials. */
export class CollectorUrlError extends Schema.TaggedError<CollectorUrlError>()("CollectorUrlError", {
  reason: Schema.Literals(["no_http_url"])
}) {
  override get message() {
    return `the collector's url must be the whole address, such as http://localhost:4318/v1/metrics`
  }
}

// ------------------------------------------------------------------------------------------------------------ layers

/** Counts the events of every backend made with this layer in the metric registry of the context. */
export const layer = (options: Options = {}): Layer.Layer<never> =>
  counting(Target.registry, options, (maxBackends) =>
    Effect.annotateLogs(Effect.logWarning("more backends than maxBackends: the others get no metrics"), {
      max_backends: maxBackends
    })
  )

/**
 * Serves `/metrics` for Prometheus, and nothing else. Open connections end with the layer.
 *
 * Fails with {@link MetricsEndpointError} if it cannot listen.
 */
export const layerPrometheus = (options: PrometheusOptions): Layer.Layer<PrometheusEndpoint, MetricsEndpointError> => {
  const { host = "127.0.0.1", port } = options
  const endpoint = Effect.gen(function* () {
    const read = yield* Snapshot.reader
    const actual = yield* Endpoint.serve({
      host,
      port,
      path: "/metrics",
      contentType: PrometheusText.contentType,
      body: () => PrometheusText.format(read())
    }).pipe(Effect.mapError((error) => new MetricsEndpointError({ host, port, reason: reasonOf(error) })))
    const authority = host.includes(":") ? `[${host}]` : host
    return { host, port: actual, url: `http://${authority}:${actual}/metrics` }
  })
  return Layer.provideMerge(Layer.effect(PrometheusEndpoint, endpoint), layer(options))
}

/**
 * Exports to an OTLP collector over HTTP, and what is left when the layer closes. All figures are cumulative.
 *
 * A collector that is down, slow or refuses never fails or delays the app: that is logged once as a warning, and the
 * next export that succeeds has everything. Fails with {@link CollectorUrlError} only.
 */
export const layerOtlp = (options: OtlpOptions): Layer.Layer<never, CollectorUrlError> => {
  const isProtobuf = options.protocol === "http/protobuf"
  const exporter = Effect.gen(function* () {
    const url = yield* parse(options.url)
    const headers = Object.entries(options.headers ?? {}).map(
      ([name, value]) => [name, Redacted.isRedacted(value) ? String(Redacted.value(value)) : value] as const
    )
    yield* OtlpExporter.run({
      post: yield* Post.make(url, Object.fromEntries(headers)),
      resource: yield* resourceOf(options.resource ?? {}),
      interval: Duration.fromInputUnsafe(options.interval ?? "30 seconds"),
      timeout: Duration.fromInputUnsafe(options.timeout ?? "10 seconds"),
      flushTimeout: Duration.fromInputUnsafe(options.flushTimeout ?? "3 seconds"),
      messageSize: isProtobuf ? 500 : 5000
    })
  })
  return Layer.effectDiscard(exporter).pipe(
    Layer.provide(isProtobuf ? OtlpSerialization.layerProtobuf : OtlpSerialization.layerJson),
    Layer.provideMerge(layer(options))
  )
}

/**
 * Hands every figure, as it changes, to instruments of the app's own `MeterProvider` too.
 *
 * A `MeterProvider` bounds and keeps series in its own way. It takes 2,000 series of a metric unless its readers have
 * `cardinalityLimits`, and a cumulative reader exports the series of a removed backend until the provider is shut down.
 */
export const layerOtel = (options: OtelOptions): Layer.Layer<never> =>
  counting(
    Effect.sync(() => Instruments.target(options.meterProvider)),
    options,
    () => Effect.void
  ).pipe(Layer.provideMerge(layer(options)))

// -------------------------------------------------------------------------------------------------------------- parts

const counting = <Handle>(
  target: Effect.Effect<Target.Target<Handle>>,
  { maxBackends = 20_000, removeAfter = "1 minute" }: Options,
  onFull: (maxBackends: number) => Effect.Effect<void>
): Layer.Layer<never> =>
  Layer.effect(
    KeepaliveEvent.Observers,
    Effect.gen(function* () {
      const observers = yield* KeepaliveEvent.Observers
      const into = yield* target
      // two exporters of one app share what is counted
      if (Recorder.isCounting(observers, into.identity)) return observers
      const observer = yield* Recorder.make({
        maxBackends,
        removeAfter: Duration.fromInputUnsafe(removeAfter),
        target: into,
        onFull: onFull(maxBackends)
      })
      return [...observers, observer]
    })
  )

const reasonOf = (error: unknown): MetricsEndpointError["reason"] => {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return "port_in_use"
    case "EACCES":
    case "EPERM":
      return "not_permitted"
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "no_such_host"
    case "ERR_SOCKET_BAD_PORT":
      return "invalid_port"
    default:
      return "unknown"
  }
}

const parse = (text: string): Effect.Effect<URL, CollectorUrlError> => {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol)
    ? Effect.succeed(url)
    : Effect.fail(new CollectorUrlError({ reason: "no_http_url" }))
}

/** Effect's reader of the environment dies where nobody names the service. */
const resourceOf = (options: NonNullable<OtlpOptions["resource"]>): Effect.Effect<OtlpResource.Resource> => {
  const attributes = { ...options.attributes }
  return Effect.catchCause(OtlpResource.fromConfig({ ...options, attributes }), () =>
    OtlpResource.fromConfig({ ...options, attributes, serviceName: "unknown_service:node" })
  )
}
