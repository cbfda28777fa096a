/**
 * The metrics of backends: counted as things happen, and handed to Prometheus, an OTLP collector or a `MeterProvider`.
 *
 * {@link layer} counts in Effect's metric registry. {@link layerPrometheus}, {@link layerOtlp} and {@link layerOtel}
 * include it and export what it counts, and nothing else that is in the registry.
 */
import * as KeepaliveEvent from "@vmcp-keepalive/core/KeepaliveEvent"
import * as Ownership from "@vmcp-keepalive/core/Ownership"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Endpoint from "./internal/endpoint.ts"
import * as Figures from "./internal/figures.ts"
import * as Hosts from "./internal/hosts.ts"
import * as Instruments from "./internal/instruments.ts"
import * as OtlpConfig from "./internal/otlpConfig.ts"
import * as OtlpLayer from "./internal/otlpLayer.ts"
import * as PrometheusText from "./internal/prometheusText.ts"
import * as Recorder from "./internal/recorder.ts"
import * as Settings from "./internal/settings.ts"
import * as Target from "./internal/target.ts"

// ------------------------------------------------------------------------------------------------------------ models

/** @since 0.1.0 */
export type { Options } from "./internal/settings.ts"

/**
 * Of {@link layerPrometheus}.
 *
 * @since 0.1.0
 */
export interface PrometheusOptions extends Settings.Options {
  /** up to 65535; 0: any free one; {@link PrometheusEndpoint} says which */
  readonly port: number
  /** the address to listen on. Default: `127.0.0.1`, so that only this machine can read */
  readonly host?: string | undefined
  /**
   * Names and addresses, without a port, by which the page is reached beside `host`, `localhost`, `127.0.0.1` and `::1`: where
   * a reverse proxy leaves the `Host` header as it was, for one. Others get status 403. Default: none on loopback, so that no
   * web page can read it by DNS rebinding; elsewhere any
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /**
   * How long a reader may take to read the page, before it is cut off. Default: 10 seconds, as long as Prometheus waits
   * for a scrape
   */
  readonly writeTimeout?: Duration.Input | undefined
}

/** @since 0.1.0 */
export type { OtlpOptions } from "./internal/otlpLayer.ts"

/**
 * Of {@link layerOtel}.
 *
 * @since 0.1.0
 */
export interface OtelOptions extends Settings.Options {
  /** of the app, made and shut down by it */
  readonly meterProvider: MeterProvider
}

/** @since 0.1.0 */
export type { InstrumentOptions, Meter, MeterProvider } from "./internal/instruments.ts"
type MeterProvider = Instruments.MeterProvider

/**
 * Where {@link layerPrometheus} listens.
 *
 * @since 0.1.0
 */
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

/** @since 0.1.0 */
export { TelemetryConfigurationError } from "./internal/settings.ts"

/**
 * The endpoint of {@link layerPrometheus} cannot listen.
 *
 * @since 0.1.0
 */
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
 *
 * @since 0.1.0
 */
export const layer = (options: Settings.Options = {}): Layer.Layer<never, Settings.TelemetryConfigurationError> =>
  Settings.checked(checksOf(options), () => registryLayer(options))

/**
 * Serves `/metrics` for Prometheus, and nothing else. Open connections end with the layer.
 *
 * Fails with {@link TelemetryConfigurationError} if its options are wrong, and with {@link MetricsEndpointError} if it
 * cannot listen.
 *
 * @since 0.1.0
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
 * The page for Prometheus as it is now, of the metric registry of the context: for a server of the app's own, beside {@link layer}. It is
 * rendered in one piece; {@link layerPrometheus} is for many scrapers, and for more than a thousand backends.
 *
 * @since 0.1.0
 */
export const prometheusPage: Effect.Effect<() => { readonly contentType: string; readonly body: string }> = Effect.map(
  Figures.reader,
  (read) => () => ({ contentType: PrometheusText.contentType, body: [...PrometheusText.format(read())].join("") })
)

/**
 * Exports to an OTLP collector over HTTP, and what is left when the layer closes. All figures are cumulative.
 *
 * A collector that is down, slow or refuses never fails or delays the app: that is logged once as a warning, and the
 * next export that succeeds has everything. What may arrive if it is sent again is, before the next export is due, and
 * `Retry-After` is kept to, up to 10 minutes. Fails with {@link TelemetryConfigurationError} only, if its options are wrong.
 *
 * @since 0.1.0
 */
export const layerOtlp = (options: OtlpLayer.OtlpOptions): Layer.Layer<never, Settings.TelemetryConfigurationError> =>
  OtlpLayer.make(options, checksOf(options), registryLayer)

/**
 * As {@link layerOtlp}, with what is not in the options from the variables that the OpenTelemetry specification names, read
 * through `Config`. Of two, the first one counts:
 *
 * - `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/metrics` behind it. Default:
 *   `http://localhost:4318/v1/metrics`
 * - `OTEL_EXPORTER_OTLP_METRICS_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, percent-encoded
 * - `OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT`: of one request, in milliseconds
 * - `OTEL_EXPORTER_OTLP_METRICS_COMPRESSION`, `OTEL_EXPORTER_OTLP_COMPRESSION`: `gzip` or `none`
 * - `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/json` or `http/protobuf`
 * - `OTEL_METRIC_EXPORT_INTERVAL`: in milliseconds
 * - `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`
 *
 * It is empty where `OTEL_SDK_DISABLED` is `true`, and where `OTEL_METRICS_EXPORTER` does not name `otlp`. A variable that cannot
 * be read is an issue of the {@link TelemetryConfigurationError}, under its name and without its value.
 *
 * @since 0.1.0
 */
export const layerOtlpConfig = (
  options: Partial<OtlpLayer.OtlpOptions> = {}
): Layer.Layer<never, Settings.TelemetryConfigurationError> =>
  Layer.unwrap(
    Effect.map(OtlpConfig.read, ({ isOn, issues, settings }) => {
      if (!isOn) return Layer.empty
      const all = {
        ...options,
        url: options.url ?? settings.url,
        headers: options.headers ?? settings.headers,
        timeout: options.timeout ?? settings.timeout,
        interval: options.interval ?? settings.interval,
        compression: options.compression ?? settings.compression,
        protocol: options.protocol ?? settings.protocol
      }
      return OtlpLayer.make(all, [...checksOf(all), ...issues], registryLayer)
    })
  )

/**
 * Hands every figure, as it changes, to instruments of the app's own `MeterProvider` too.
 *
 * A `MeterProvider` bounds and keeps series in its own way. It takes 2,000 series of a metric unless its readers have
 * `cardinalityLimits`, and a cumulative reader exports the series of a removed backend until the provider is shut down.
 *
 * Fails with {@link TelemetryConfigurationError} if its options are wrong.
 *
 * @since 0.1.0
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

const defaultMaxBackends = 20_000

const checksOf = ({ maxBackends, removeAfter }: Settings.Options): ReadonlyArray<Settings.Check> => [
  Settings.whole("maxBackends", maxBackends, 1, Number.MAX_SAFE_INTEGER),
  Settings.duration("removeAfter", removeAfter)
]

const counting = <Handle>(
  target: Effect.Effect<Target.Target<Handle>>,
  { conventions = false, maxBackends = defaultMaxBackends, removeAfter = Settings.removeAfter }: Settings.Options,
  onFull: (maxBackends: number) => Effect.Effect<void>
): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { keep, observe } = yield* Recorder.join({
        conventions,
        maxBackends,
        removeAfter: Duration.fromInputUnsafe(removeAfter),
        target: yield* target,
        onFull: onFull(maxBackends)
      })
      return Layer.merge(KeepaliveEvent.layerObserver(observe), Ownership.layerObserver(keep))
    })
  )

const registryLayer = (options: Settings.Options) =>
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
