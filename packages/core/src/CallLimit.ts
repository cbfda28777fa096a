/**
 * A limit for the calls of several backends together, beside the one that each has for itself (`maxConcurrent` of its policy).
 *
 * It counts the calls that run, and those that wait. A backend takes a further place only while it holds fewer than are free: one
 * that is slow or floods gets half of them at most, two of that kind a third each, so that there is a place at once for who comes
 * with little. A place that is given back goes to the backends that wait in turn; within a backend, the order of its calls is kept.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ConfigurationIssue, ConfigurationError } from "./BackendError.ts"
import { Pool } from "./internal/pool.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * Places for calls that the backends share which are made in its context. The figures are read when asked for.
 *
 * @since 0.1.0
 */
export interface CallLimit {
  /** calls of all backends that run at a time */
  readonly maxConcurrent: number
  /** calls of all backends that may wait, for their turn or for a session */
  readonly queue: number
  /** calls that run now */
  readonly running: number
  /** calls that wait now */
  readonly waiting: number
}

/**
 * What a limit is made of.
 *
 * @since 0.1.0
 */
export interface Options {
  /** calls of all backends that run at a time, at least 1 */
  readonly maxConcurrent: number
  /** calls of all backends that may wait, for their turn or for a session; zero or more, default 10,000 */
  readonly queue?: number | undefined
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * A limit; fails with everything that is wrong in the options.
 *
 * @since 0.1.0
 */
export const make = ({ maxConcurrent, queue = 10_000 }: Options): Effect.Effect<CallLimit, ConfigurationError> =>
  Effect.suspend(() => {
    const issues: ReadonlyArray<ConfigurationIssue> = [
      ...(isWhole(maxConcurrent, 1) ? [] : [expecting("maxConcurrent", 1)]),
      ...(isWhole(queue, 0) ? [] : [expecting("queue", 0)])
    ]
    if (issues.length > 0) return Effect.fail(new ConfigurationError({ backend: "", issues }))
    return Effect.sync(() => new Pool(maxConcurrent, queue))
  })

const isWhole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least

const expecting = (field: string, least: number): ConfigurationIssue => ({
  path: ["callLimit", field],
  expected: `a whole number of at least ${least}`
})

/**
 * The limit of the context; `undefined`, and without one, unless a {@link layer} set it. A backend takes that of the context in
 * which it is made.
 *
 * @since 0.1.0
 */
export const Current: Context.Reference<CallLimit | undefined> = Context.Reference("@vmcp-keepalive/core/CallLimit", {
  defaultValue: (): CallLimit | undefined => undefined
})

// ------------------------------------------------------------------------------------------------------------- layers

/**
 * One limit for every backend that is made with this layer.
 *
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never, ConfigurationError> => Layer.effect(Current, make(options))
