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
import * as Option from "effect/Option"
import * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import * as Endpoint from "./internal/endpoint.ts"
import * as Figures from "./internal/figures.ts"
import * as Hosts from "./internal/hosts.ts"
import * as Instruments from "./internal/instruments.ts"
import * as OtlpExporter from "./internal/otlpExporter.ts"
import * as Post from "./internal/post.ts"
import * as PrometheusText from "./internal/prometheusText.ts"
import * as Recorder from "./internal/recorder.ts"
import * as Settings from "./internal/settings.ts"
import * as Target from "./internal/target.ts"

// ------------------------------------------------------------------------------------------------------------ models

/** What every layer takes. Layers that count in the same registry share what is counted: the first one's options hold. */
export interface Options {
  /**
   * How many backends get series, at least 1. One that starts beyond that gets none for as long as it lives, and its events are
   * counted in `vmcp_keepalive_dropped_total`. Default: 20,000
   */
  readonly maxBackends?: number
  /** how long the series of a closed backend stay, so that its last figures are exported. Default: 1 minute */
  readonly removeAfter?: Duration.Input
}

/** Of {@link layerPrometheus}. */
export interface PrometheusOptions extends Options {
  /** up to 65535; 0: any free one; {@link PrometheusEndpoint} says which */
  readonly port: number
  /** the address to listen on. Default: `127.0.0.1`, so that only this machine can read */
  readonly host?: string
  /**
   * Names and addresses, without a port, by which the page is reached beside `host`, `localhost`, `127.0.0.1` and `::1`: where
   * a reverse proxy leaves the `Host` header as it was, for one. Others get status 403. Default: none on loopback, so that no
   * web page can read it by DNS rebinding; elsewhere any
   */
  readonly allowedHosts?: ReadonlyArray<string>
  /**
   * How long a reader may take to read the page, before it is cut off. Default: 10 seconds, as long as Prometheus waits
   * for a scrape
   */
  readonly writeTimeout?: Duration.Input
}

/** Of {@link layerOtlp}. Where nothing else is said, defaults are those of the OpenTelemetry specification. */
export interface OtlpOptions extends Options {
  /** the whole address, such as `http://localhost:4318/v1/metrics` */
  readonly url: string
  /** credentials, for one. Default: none */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>>
  /** time between exports, shorter than `removeAfter`, which is at least twice as long by default. Default: 30 seconds */
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
  /**
   * Who exports. Default: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, or `unknown_service:node`. Where neither
   * names a `service.instance.id` it is drawn at random, so that the figures of two processes are not taken for one's.
   */
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

export { TelemetryConfigurationError } from "./internal/settings.ts"

/** The endpoint of {@link layerPrometheus} cannot listen. */
export class MetricsEndpointError extends Schema.TaggedError<MetricsEndpointError>()("MetricsEndpointError", {
  reason: Schema.Literals(["port_in_use", "not_permitted", "no_such_host", "unknown"]),
  host: Schema.String,
  port: Schema.Number
}) {
  override get message() {
    return `the metrics endpoint cannot listen on ${this.host}:${this.port}: ${this.reason}`
  }
}

// ------------------------------------------------------------------------------------------------------------ layers

/**
 * Counts the events of every backend made with this layer in the metric registry of the context. An exporter shows what is in
 * the registry: also what another layer of the process counts there, unless it has a registry of its own.
 *
 * Fails with {@link TelemetryConfigurationError} if its options are wrong.
 */
export const layer = (options: Options = {}): Layer.Layer<never, Settings.TelemetryConfigurationError> =>
  Settings.checked(checksOf(options), () => registryLayer(options))

/**
 * Serves `/metrics` for Prometheus, and nothing else. Open connections end with the layer.
 *
 * Fails with {@link TelemetryConfigurationError} if its options are wrong, and with {@link MetricsEndpointError} if it
 * cannot listen.
 */
export const layerPrometheus = (
  options: PrometheusOptions
): Layer.Layer<PrometheusEndpoint, Settings.TelemetryConfigurationError | MetricsEndpointError> => {
  const { allowedHosts, host = "127.0.0.1", port, writeTimeout = "10 seconds" } = options
  const endpoint = Effect.gen(function* () {
    const read = yield* Figures.reader
    const actual = yield* Endpoint.serve({
      host,
      port,
      allowedHosts,
      writeTimeout: Duration.toMillis(Duration.fromInputUnsafe(writeTimeout)),
      path: "/metrics",
      contentType: PrometheusText.contentType,
      body: () => PrometheusText.format(read())
    }).pipe(Effect.mapError((error) => new MetricsEndpointError({ host, port, reason: reasonOf(error) })))
    const authority = host.includes(":") ? `[${host}]` : host
    return { host, port: actual, url: `http://${authority}:${actual}/metrics` }
  })
  return Settings.checked(
    [
      ...checksOf(options),
      Settings.whole("port", port, 0, 65_535),
      Settings.that(["host"], "a name or address, or to be left out", host !== ""),
      ...(allowedHosts ?? []).map((name, index) =>
        Settings.that(["allowedHosts", `${index}`], "a name or address without a port", Hosts.isHost(name))
      ),
      Settings.duration("writeTimeout", writeTimeout, {
        expected: "a duration above zero, and of a day at most",
        holds: Duration.between({ minimum: Duration.millis(1), maximum: Duration.days(1) })
      })
    ],
    () => Layer.provideMerge(Layer.effect(PrometheusEndpoint, endpoint), registryLayer(options))
  )
}

/**
 * Exports to an OTLP collector over HTTP, and what is left when the layer closes. All figures are cumulative.
 *
 * A collector that is down, slow or refuses never fails or delays the app: that is logged once as a warning, and the
 * next export that succeeds has everything. Fails with {@link TelemetryConfigurationError} only, if its options are wrong.
 */
export const layerOtlp = (options: OtlpOptions): Layer.Layer<never, Settings.TelemetryConfigurationError> => {
  const {
    flushTimeout = "3 seconds",
    interval = "30 seconds",
    protocol = "http/json",
    timeout = "10 seconds"
  } = options
  // so that the last figures of a backend are exported, however long the interval is
  const twice = Option.map(Duration.fromInput(interval), (duration) => Duration.times(duration, 2))
  const {
    removeAfter = Duration.max(
      defaults.removeAfter,
      Option.getOrElse(twice, () => defaults.removeAfter)
    )
  } = options
  const url = URL.parse(options.url)
  const headers = Object.entries(options.headers ?? {}).map(
    ([name, value]) => [name, Redacted.isRedacted(value) ? String(Redacted.value(value)) : value] as const
  )
  const exporter = Effect.gen(function* () {
    if (url === null) return
    yield* OtlpExporter.run({
      post: yield* Post.make(url, Object.fromEntries(headers)),
      resource: yield* resourceOf(options.resource ?? {}),
      interval: Duration.fromInputUnsafe(interval),
      timeout: Duration.fromInputUnsafe(timeout),
      flushTimeout: Duration.fromInputUnsafe(flushTimeout),
      messageSize: protocol === "http/protobuf" ? 500 : 5000
    })
  })
  return Settings.checked(
    [
      ...checksOf(options),
      Settings.that(["url"], "a whole address, such as http://localhost:4318/v1/metrics", Post.isAddress(url)),
      ...headers.map(([name, value]) =>
        Settings.that(["headers", nameOf(name)], "a name and a value that HTTP allows", Post.isHeader(name, value))
      ),
      Settings.duration("interval", interval, {
        expected: "a duration above zero and below removeAfter, so that the last figures of a backend are exported",
        holds: (value) =>
          Settings.positive.holds(value) &&
          Option.exists(Duration.fromInput(removeAfter), (after) => Duration.isLessThan(value, after))
      }),
      Settings.duration("timeout", timeout, Settings.positive),
      Settings.duration("flushTimeout", flushTimeout)
    ],
    () =>
      Layer.effectDiscard(exporter).pipe(
        Layer.provide(protocol === "http/protobuf" ? OtlpSerialization.layerProtobuf : OtlpSerialization.layerJson),
        Layer.provideMerge(registryLayer({ ...options, removeAfter }))
      )
  )
}

/** Whoever took a whole header for its name wrote the value behind the colon. */
const nameOf = (name: string) => name.split(/[^!#$%&'*+.^_`|~0-9A-Za-z-]/, 1)[0] ?? ""

/**
 * Hands every figure, as it changes, to instruments of the app's own `MeterProvider` too.
 *
 * A `MeterProvider` bounds and keeps series in its own way. It takes 2,000 series of a metric unless its readers have
 * `cardinalityLimits`, and a cumulative reader exports the series of a removed backend until the provider is shut down.
 *
 * Fails with {@link TelemetryConfigurationError} if its options are wrong.
 */
export const layerOtel = (options: OtelOptions): Layer.Layer<never, Settings.TelemetryConfigurationError> =>
  Settings.checked(checksOf(options), () =>
    Layer.merge(
      counting(
        Effect.sync(() => Instruments.target(options.meterProvider)),
        options,
        // the registry's recorder says it, of the same backends
        () => Effect.void
      ),
      registryLayer(options)
    )
  )

// -------------------------------------------------------------------------------------------------------------- parts

const defaults = { maxBackends: 20_000, removeAfter: Duration.minutes(1) }

const checksOf = ({ maxBackends, removeAfter }: Options): ReadonlyArray<Settings.Check> => [
  Settings.whole("maxBackends", maxBackends, 1, Number.MAX_SAFE_INTEGER),
  Settings.duration("removeAfter", removeAfter)
]

const counting = <Handle>(
  target: Effect.Effect<Target.Target<Handle>>,
  { maxBackends = defaults.maxBackends, removeAfter = defaults.removeAfter }: Options,
  onFull: (maxBackends: number) => Effect.Effect<void>
): Layer.Layer<never> =>
  KeepaliveEvent.layerObserver(
    Effect.gen(function* () {
      const { observe } = yield* Recorder.join({
        maxBackends,
        removeAfter: Duration.fromInputUnsafe(removeAfter),
        target: yield* target,
        onFull: onFull(maxBackends)
      })
      return observe
    })
  )

const registryLayer = (options: Options) =>
  counting(Target.registry, options, (maxBackends) =>
    Effect.annotateLogs(Effect.logWarning("more backends than maxBackends: the others get no metrics"), {
      max_backends: maxBackends
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
    default:
      return "unknown"
  }
}

/** Effect's reader of the environment dies where nobody names the service, and where what stands there cannot be read. */
const resourceOf = Effect.fnUntraced(function* (options: NonNullable<OtlpOptions["resource"]>) {
  const attributes = { ...options.attributes }
  const serviceName = options.serviceName ?? "unknown_service:node"
  const resource = yield* OtlpResource.fromConfig({ ...options, attributes }).pipe(
    Effect.catchCause(() => OtlpResource.fromConfig({ ...options, attributes, serviceName })),
    Effect.catchCause(() =>
      Effect.as(
        Effect.logWarning("OTEL_RESOURCE_ATTRIBUTES cannot be read, and is left out of what is exported"),
        OtlpResource.make({ ...options, attributes, serviceName })
      )
    )
  )
  if (resource.attributes.some(({ key }) => key === "service.instance.id")) return resource
  const instance = OtlpResource.entriesToAttributes([["service.instance.id", randomUUID()]])
  return { ...resource, attributes: [...resource.attributes, ...instance] }
})
