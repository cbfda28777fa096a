/**
 * The layer that exports to an OTLP collector.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import * as OtlpExporter from "./otlpExporter.ts"
import * as Post from "./post.ts"
import * as Settings from "./settings.ts"

/** Of `layerOtlp`. Where nothing else is said, defaults are those of the OpenTelemetry specification. */
export interface OtlpOptions extends Settings.Options {
  /** the whole address, such as `http://localhost:4318/v1/metrics` */
  readonly url: string
  /** credentials, for one. Default: none */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** time between exports, shorter than `removeAfter`, which is at least twice as long by default. Default: 30 seconds */
  readonly interval?: Duration.Input | undefined
  /** of one request; an export has several where there are more than 5,000 series. Default: 10 seconds */
  readonly timeout?: Duration.Input | undefined
  /** how long the last export may hold up the closing of the layer. Default: 3 seconds */
  readonly flushTimeout?: Duration.Input | undefined
  /** how bodies are compressed. Default: `none` */
  readonly compression?: "gzip" | "none" | undefined
  /**
   * How bodies are written. Default: `http/json`. `http/protobuf` is for collectors that take nothing else: Effect's
   * writer needs some ten times as long for it.
   */
  readonly protocol?: "http/json" | "http/protobuf" | undefined
  /**
   * Who exports. Default: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, or `unknown_service:node`. Where neither
   * names a `service.instance.id` it is drawn at random, so that the figures of two processes are not taken for one's.
   */
  readonly resource?:
    | {
        readonly serviceName?: string | undefined
        readonly serviceVersion?: string | undefined
        readonly attributes?: Readonly<Record<string, string>> | undefined
      }
    | undefined
}

/** `checks`: of what else was set. `counting`: the layer that counts what is exported. */
export const make = (
  options: OtlpOptions,
  checks: ReadonlyArray<Settings.Check>,
  counting: (options: Settings.Options) => Layer.Layer<never>
): Layer.Layer<never, Settings.TelemetryConfigurationError> => {
  const {
    compression = "none",
    flushTimeout = "3 seconds",
    interval = "30 seconds",
    protocol = "http/json",
    timeout = "10 seconds"
  } = options
  // so that the last figures of a backend are exported, however long the interval is
  const twice = Option.map(Duration.fromInput(interval), (duration) => Duration.times(duration, 2))
  const {
    removeAfter = Duration.max(
      Settings.removeAfter,
      Option.getOrElse(twice, () => Settings.removeAfter)
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
      compression,
      messageSize: protocol === "http/protobuf" ? 500 : 5000
    })
  })
  return Settings.checked(
    [
      ...checks,
      Settings.that(["url"], "a whole address, such as http://localhost:4318/v1/metrics", Post.isAddress(url)),
      ...headers.map(([name, value]) =>
        Settings.that(["headers", nameOf(name)], "a name and a value that HTTP allows", Post.isHeader(name, value))
      ),
      Settings.oneOf("compression", compression, ["gzip", "none"]),
      Settings.oneOf("protocol", protocol, ["http/json", "http/protobuf"]),
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
        Layer.provideMerge(counting({ ...options, removeAfter }))
      )
  )
}

/** Whoever took a whole header for its name wrote the value behind the colon. */
const nameOf = (name: string) => name.split(/[^!#$%&'*+.^_`|~0-9A-Za-z-]/, 1)[0] ?? ""

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
