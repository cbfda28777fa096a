/**
 * How many attempts and probes begin at a time, of all backends together: so that a thousand that lost their servers at once, or
 * whose machine has slept, come back one after the other, and one that does not answer holds back none of them for long.
 *
 * A permit is taken before an attempt or a probe begins, and returns when that is done, or after `hold` if that comes first.
 * Waiting for it counts into no timeout and no latency of the backend's; callers wait as they do for a session anyway. Who came
 * first begins first, but one whose origin has no room holds back nobody else.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { ConfigurationError } from "./BackendError.ts"
import { checker } from "./internal/issues.ts"
import { count, ofInput } from "./internal/policySchema.ts"
import * as Untyped from "./internal/untyped.ts"

// ---------------------------------------------------------------------------------------------------------- models

/**
 * What every set of limits has and nothing else does.
 *
 * @since 0.1.0
 */
export const TypeId = "~@vmcp-keepalive/core/Starts"

/**
 * Limits that the backends share to whom the same of these is given. They are of one clock: backends that live in another time, as
 * in tests, do not count among each other.
 *
 * @since 0.1.0
 */
export interface Starts {
  readonly [TypeId]: typeof TypeId
  readonly limits: Limits
}

/**
 * Limits with every number decided.
 *
 * @since 0.1.0
 */
export interface Limits {
  readonly attempts: number
  readonly perOrigin: number
  readonly probes: number
  readonly hold: Duration.Duration
}

/**
 * Limits as one writes them: what is left out comes from the default.
 *
 * @since 0.1.0
 */
export interface Options {
  /** attempts that hold a permit at a time, at least 1; default 64 */
  readonly attempts?: number | undefined
  /** of them, those of one origin that names no limit of its own (`Connector.origin`), at least 1; default 8 */
  readonly perOrigin?: number | undefined
  /** probes that hold a permit at a time, at least 1; default 64 */
  readonly probes?: number | undefined
  /** how long a permit is held at the longest: 1 millisecond to 1 minute; default 250 milliseconds */
  readonly hold?: Duration.Input | undefined
}

// ------------------------------------------------------------------------------------------------------ constructors

const defaults: Limits = { attempts: 64, perOrigin: 8, probes: 64, hold: Duration.millis(250) }

const ofLimits = (limits: Limits): Starts => ({ [TypeId]: TypeId, limits })

const ofProcess = ofLimits(defaults)

/**
 * The limits of the context. Unless a {@link layer} set others they have every default, and are those of the whole process.
 *
 * @since 0.1.0
 */
export const Current: Context.Reference<Starts> = Context.Reference("@vmcp-keepalive/core/Starts", {
  defaultValue: () => ofProcess
})

/**
 * Limits of their own. Fails with everything that is wrong in them.
 *
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Starts, ConfigurationError> =>
  Effect.suspend(() => {
    const { issues, value } = check(Untyped.prepared({ ...options }))
    if (issues.length === 0) {
      const { attempts, hold, perOrigin, probes } = defaults
      return Effect.succeed(
        ofLimits({
          attempts: value.attempts ?? attempts,
          perOrigin: value.perOrigin ?? perOrigin,
          probes: value.probes ?? probes,
          hold: value.hold ?? hold
        })
      )
    }
    const named = issues.map(({ expected, path }) => ({ path: ["starts", ...path], expected }))
    return Effect.fail(new ConfigurationError({ backend: "", issues: named }))
  })

/**
 * Limits that all backends share which are made with this layer, and no others.
 *
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, ConfigurationError> =>
  Layer.effect(Current, make(options))

const asHold = {
  expected: "a duration of 1 millisecond to 1 minute",
  holds: (value: Duration.Duration) =>
    Duration.between(value, { minimum: Duration.millis(1), maximum: Duration.minutes(1) })
}

const Checked = Schema.Struct({ attempts: count, perOrigin: count, probes: count, hold: ofInput(asHold) }).mapFields(
  Struct.map(Schema.optional)
)

const check = checker(Checked, Object.keys(Checked.fields))
