/**
 * How much a server may make its host hold or do. Whatever a server can make grow has a bound here, with its reason; what
 * exceeds one ends that request or that session with reason `overflow`, and never the process.
 */
import type { BackendError } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"

/**
 * The bounds that every transport has. Sizes are in bytes after decompression.
 *
 * @since 0.1.0
 */
export interface Limits {
  /** one message of the server's, 64 KiB to 256 MiB. Default: 16 MiB */
  readonly messageBytes: number
  /** the answer to a probe, 1 KiB to 256 MiB, where `messageBytes` allows as much. Default: 1 MiB */
  readonly probeBytes: number
  /**
   * objects and arrays in one message, 1,000 to 5,000,000: they are what parsing costs. Counted where a message is longer than
   * 256 KiB. Default: 500,000, about 0.3 s of this process
   */
  readonly containers: number
  /**
   * members (name and value) of all objects in one message, 1,000 to 10,000,000, counted like `containers`: names that differ cost
   * 1.5 µs each. Default: 750,000
   */
  readonly members: number
  /**
   * entries of one list of the server's (tools, prompts, resources), from all pages, 1 to 1,000,000: of each the name is kept.
   * Default: 10,000
   */
  readonly entries: number
  /** pages of a list, 1 to 10,000: a cursor that never ends is not followed for ever. Default: 100 */
  readonly pages: number
  /** requests of the server's that are not answered yet, 1 to 10,000. Default: 64 */
  readonly serverRequests: number
  /** requests of the server's within a second, 1 to 100,000. Default: 1,000 */
  readonly serverRequestsPerSecond: number
  /** how long the server may take to take in our answer to one of them, 100 ms to 10 minutes. Default: 10 s */
  readonly answerTimeout: Duration.Duration
}

/**
 * The limits as users give them: those that are left out have their defaults.
 *
 * @since 0.1.0
 */
export type Options<L extends Limits = Limits> = {
  readonly [Name in keyof L]?: (L[Name] extends Duration.Duration ? Duration.Input : L[Name]) | undefined
}

const mebibyte = 1024 * 1024

/**
 * What holds where nothing else is said.
 *
 * @since 0.1.0
 */
export const defaults: Limits = {
  messageBytes: 16 * mebibyte,
  probeBytes: mebibyte,
  containers: 500_000,
  members: 750_000,
  entries: 10_000,
  pages: 100,
  serverRequests: 64,
  serverRequestsPerSecond: 1000,
  answerTimeout: Duration.seconds(10)
}

/**
 * The least and the most that each may be; durations in milliseconds.
 *
 * @since 0.1.0
 */
export const ranges: { readonly [Name in keyof Limits]: Range } = {
  messageBytes: [64 * 1024, 256 * mebibyte],
  probeBytes: [1024, 256 * mebibyte],
  containers: [1000, 5_000_000],
  members: [1000, 10_000_000],
  entries: [1, 1_000_000],
  pages: [1, 10_000],
  serverRequests: [1, 10_000],
  serverRequestsPerSecond: [1, 100_000],
  answerTimeout: [100, 600_000]
}

/**
 * From the first to the second, both included.
 *
 * @since 0.1.0
 */
export type Range = readonly [least: number, most: number]

/**
 * What is wrong with limits, each with its bounds; `ranges` are all that this transport knows.
 *
 * @since 0.1.0
 */
export const issues = (
  options: { readonly [name: string]: unknown },
  known: { readonly [name: string]: Range }
): ReadonlyArray<BackendError.ConfigurationIssue> =>
  Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined) return []
    const path = ["connector", "limits", name]
    const range = Object.hasOwn(known, name) ? known[name] : undefined
    if (range === undefined) return [{ path, expected: `one of ${Object.keys(known).join(", ")}` }]
    const [least, most] = range
    if (name === "answerTimeout") {
      const time = millisOf(value)
      return time >= least && time <= most
        ? []
        : [{ path, expected: `a duration from ${least} ms to ${most / 1000} s` }]
    }
    const isWithin = typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
    return isWithin ? [] : [{ path, expected: `a whole number from ${least} to ${most}` }]
  })

const millisOf = (value: unknown): number => {
  const duration = Duration.fromInput(value as Duration.Input)
  return duration._tag === "Some" ? Duration.toMillis(duration.value) : Number.NaN
}

/**
 * The limits with their defaults. Those of which {@link issues} finds none are complete.
 *
 * @since 0.1.0
 */
export const resolve = <L extends Limits>(options: Options<L>, all: L): L => {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const { answerTimeout } = options
  return {
    ...all,
    ...Object.fromEntries(given),
    answerTimeout: answerTimeout === undefined ? all.answerTimeout : Duration.fromInputUnsafe(answerTimeout)
  }
}
