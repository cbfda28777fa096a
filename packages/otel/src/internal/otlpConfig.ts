/**
 * What the environment says of an exporter, in the variables of the OpenTelemetry specification.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { OtlpOptions } from "./otlpLayer.ts"
import * as Settings from "./settings.ts"

/** What it comes to. */
export interface OtlpConfig {
  /** whether metrics are to be exported by OTLP at all */
  readonly isOn: boolean
  readonly settings: OtlpOptions
  readonly issues: ReadonlyArray<Settings.Check>
}

const disabled = "OTEL_SDK_DISABLED"
const exporter = "OTEL_METRICS_EXPORTER"
const interval = "OTEL_METRIC_EXPORT_INTERVAL"
const ofMetrics = "OTEL_EXPORTER_OTLP_METRICS_"
const ofAll = "OTEL_EXPORTER_OTLP_"
const words = ["ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION", "PROTOCOL"] as const

/** `variables`: those that are set; an empty one is none. */
export const parse = (variables: ReadonlyMap<string, string>): OtlpConfig => {
  const issues: Array<Settings.Check> = []
  const issue = (name: string, expected: string) => void issues.push(Settings.that([name], expected, false))

  const first = (word: (typeof words)[number]) => {
    const name = [ofMetrics + word, ofAll + word].find((name) => variables.has(name))
    return name === undefined ? undefined : { name, value: variables.get(name) ?? "" }
  }
  const oneOf = <const Word extends string>(word: (typeof words)[number], known: ReadonlyArray<Word>) => {
    const found = first(word)
    if (found === undefined) return undefined
    const value = known.find((word) => word === found.value)
    if (value === undefined) issue(found.name, known.join(" or "))
    return value
  }
  const millis = (name: string, value: string | undefined) => {
    if (value === undefined) return undefined
    if (/^\d{1,15}$/.test(value) && Number(value) > 0) return Duration.millis(Number(value))
    issue(name, "a whole number of milliseconds above zero")
    return undefined
  }

  const endpoint = first("ENDPOINT")
  const headers = first("HEADERS")
  const read = headers === undefined ? {} : headersOf(headers.value)
  if (read === undefined) issue(headers?.name ?? "", "name=value,name=value, percent-encoded")
  const url = endpoint === undefined ? defaultUrl : urlOf(endpoint)
  if (url === undefined) issue(endpoint?.name ?? "", "a whole address, such as http://localhost:4318")
  const timeout = first("TIMEOUT")

  const settings = {
    url: url ?? defaultUrl,
    headers: read,
    timeout: millis(timeout?.name ?? "", timeout?.value),
    interval: millis(interval, variables.get(interval)),
    compression: oneOf("COMPRESSION", ["gzip", "none"]),
    protocol: oneOf("PROTOCOL", ["http/json", "http/protobuf"])
  }
  const exporters = variables
    .get(exporter)
    ?.split(",")
    .map((name) => name.trim())
  return {
    isOn: variables.get(disabled)?.toLowerCase() !== "true" && (exporters === undefined || exporters.includes("otlp")),
    settings,
    issues
  }
}

/** Reads them through the `ConfigProvider` of the context. */
export const read: Effect.Effect<OtlpConfig> = Effect.gen(function* () {
  const names = [disabled, exporter, interval, ...words.flatMap((word) => [ofMetrics + word, ofAll + word])]
  const variables = new Map<string, string>()
  for (const name of names) {
    // one that is a record, as none of these is, cannot be read
    const value = yield* Effect.option(Config.String(name))
    if (Option.isSome(value) && value.value.trim() !== "") variables.set(name, value.value.trim())
  }
  return parse(variables)
})

const defaultUrl = "http://localhost:4318/v1/metrics"

const urlOf = ({ name, value }: { readonly name: string; readonly value: string }): string | undefined => {
  const url = URL.parse(value)
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined
  // that of all signals is a base
  if (name.startsWith(ofMetrics)) return url.href
  url.pathname += url.pathname.endsWith("/") ? "v1/metrics" : "/v1/metrics"
  return url.href
}

const headersOf = (value: string): Readonly<Record<string, Redacted.Redacted>> | undefined => {
  const headers: Record<string, Redacted.Redacted> = {}
  for (const part of value.split(",").filter((part) => part.trim() !== "")) {
    const at = part.indexOf("=")
    if (at < 1) return undefined
    try {
      headers[part.slice(0, at).trim()] = Redacted.make(decodeURIComponent(part.slice(at + 1).trim()))
    } catch {
      return undefined
    }
  }
  return headers
}
