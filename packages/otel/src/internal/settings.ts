/**
 * The settings of layers: how they are checked, before anything starts.
 */
import { type ConfigurationIssue } from "@vmcp-keepalive/core/BackendError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What every layer takes. Layers that count in the same registry share what is counted: the first one's options hold. */
export interface Options {
  /**
   * How many backends get series, at least 1. One that starts beyond that gets none for as long as it lives, and its events are
   * counted in `vmcp_keepalive_dropped_total`. Default: 20,000
   */
  readonly maxBackends?: number | undefined
  /** how long the series of a closed backend stay, so that its last figures are exported. Default: 1 minute */
  readonly removeAfter?: Duration.Input | undefined
  /**
   * Whether `mcp.client.operation.duration` and `mcp.client.session.duration` of OpenTelemetry's conventions for MCP are counted
   * too: of calls, probes and sessions. Their stability is "development", so they may change with the conventions. Default: false
   */
  readonly conventions?: boolean | undefined
}

/** The default of `removeAfter`. */
export const removeAfter = Duration.minutes(1)

/**
 * Settings of a layer are wrong: every one of them is listed, and nothing was started. No value is repeated: it may be a
 * secret.
 */
export class TelemetryConfigurationError extends Schema.TaggedError<TelemetryConfigurationError>()(
  "TelemetryConfigurationError",
  { issues: Schema.Array(Schema.Struct({ path: Schema.Array(Schema.String), expected: Schema.String })) }
) {
  override get message(): string {
    const lines = this.issues.map(({ expected, path }) => `  ${path.join(".")}: expected ${expected}`)
    return ["The settings of a telemetry layer are wrong:", ...lines].join("\n")
  }
}

/** What may be wrong: nothing, or what was expected. */
export type Check = ReadonlyArray<ConfigurationIssue>

const issue = (path: string, expected: string): Check => [{ path: [path], expected }]

/** A duration of at least zero, for which `also` holds. */
export const duration = (
  path: string,
  input: Duration.Input | undefined,
  also: { readonly expected: string; readonly holds: (duration: Duration.Duration) => boolean } = {
    expected: "a duration of zero or more",
    holds: () => true
  }
): Check => {
  if (input === undefined) return []
  const known = Option.filter(
    Duration.fromInput(input),
    (value) => Duration.isGreaterThanOrEqualTo(value, Duration.zero) && also.holds(value)
  )
  return Option.isSome(known) ? [] : issue(path, also.expected)
}

/** A duration that passes and ends: `duration` for times that something waits for. */
export const positive = {
  expected: "a duration above zero that ends",
  holds: (value: Duration.Duration) => Duration.isGreaterThan(value, Duration.zero) && Duration.isFinite(value)
}

/** A whole number within bounds. */
export const whole = (path: string, value: number | undefined, least: number, most: number): Check =>
  value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)
    ? []
    : issue(path, `a whole number of ${least} to ${most}`)

/** One of some words. */
export const oneOf = (path: string, value: string, words: ReadonlyArray<string>): Check =>
  words.includes(value) ? [] : issue(path, words.join(" or "))

/** Anything else. */
export const that = (path: ReadonlyArray<string>, expected: string, holds: boolean): Check =>
  holds ? [] : [{ path, expected }]

/** The layer, or the error that says what is wrong with its settings. */
export const checked = <A, E>(
  checks: ReadonlyArray<Check>,
  layer: () => Layer.Layer<A, E>
): Layer.Layer<A, E | TelemetryConfigurationError> => {
  const issues = checks.flat()
  return issues.length === 0 ? layer() : Layer.unwrap(Effect.fail(new TelemetryConfigurationError({ issues })))
}
