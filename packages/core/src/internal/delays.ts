/**
 * The delay behind each name that the table uses, from the schedules of a policy.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ScheduleName } from "../engine/Action.ts"
import type { KeepalivePolicy, OwnSchedule } from "../KeepalivePolicy.ts"
import { defaultBackoff, defaultOpenFor } from "./defaults.ts"
import { millisOf } from "./millis.ts"
import { backoff, cadence, ofInterval, openFor, unending } from "./schedules.ts"

/** The schedule behind each name that the table uses: made once for a policy, and shared by the backends that have it. */
export const ofPolicy = (policy: KeepalivePolicy): Schedules => {
  const known = made.get(policy)
  if (known !== undefined) return known
  const schedules: Schedules = {
    cadence: policy.cadence === undefined ? cadence(policy.interval) : unending(policy.cadence),
    backoff: Schedule.isSchedule(policy.backoff) ? unending(policy.backoff) : backoff(policy.backoff),
    openFor: openForOf(policy)
  }
  made.set(policy, schedules)
  return schedules
}

type Stepped = "cadence" | "backoff" | "openFor"
type Schedules = { readonly [Name in Stepped]: OwnSchedule }

const made = new WeakMap<KeepalivePolicy, Schedules>()

/** Delays that are always the same, in milliseconds, so that no backend keeps where it is in them, and no schedule is stepped. */
type Singles = { readonly [Name in Exclude<ScheduleName, Stepped>]: number }

const singlesOf = (policy: KeepalivePolicy): Singles => {
  const known = madeSingles.get(policy)
  if (known !== undefined) return known
  const singles: Singles = {
    confirm: millisOf(policy.confirmInterval),
    stableAfter: millisOf(policy.stableAfter),
    idleAfter: policy.idleAfter === "never" ? Number.POSITIVE_INFINITY : millisOf(policy.idleAfter),
    maxLifetime: policy.maxLifetime === "never" ? Number.POSITIVE_INFINITY : millisOf(policy.maxLifetime),
    confirmInterval: millisOf(policy.confirmInterval),
    // 1 second at least: `Retry-After: 0` is no invitation to hammer
    retryAfter: 1000
  }
  madeSingles.set(policy, singles)
  return singles
}

const madeSingles = new WeakMap<KeepalivePolicy, Singles>()

const openForOf = ({ circuit }: KeepalivePolicy): OwnSchedule => {
  if (circuit === "none") return openFor(defaultOpenFor)
  return Schedule.isSchedule(circuit.openFor) ? unending(circuit.openFor) : openFor(circuit.openFor)
}

/**
 * The schedules of one backend, each where it was left: stepped when a delay is asked for, and nothing is kept of the others. What
 * is asked for with every probe is a number at once; for the rest an effect is to be run, which a schedule of the user's may make
 * last.
 */
export class Delays {
  readonly #policy: KeepalivePolicy
  readonly #singles: Singles
  /** of the cadence, where it is not one's own; in milliseconds */
  readonly #interval: number | undefined
  #steps = 0
  /** those that were stepped: few, so that looking through them is cheaper than a map */
  #steppers: ReadonlyArray<{ readonly name: Stepped; readonly step: Stepper }> = none

  constructor(policy: KeepalivePolicy) {
    this.#policy = policy
    this.#singles = singlesOf(policy)
    this.#interval = policy.cadence === undefined ? millisOf(policy.interval) : undefined
  }

  /** The next, in milliseconds; not shorter than the server asked for, if it did. `now`: wall clock, in milliseconds. */
  next(
    name: ScheduleName,
    now: number,
    random: Random.Random,
    notBefore?: Duration.Duration
  ): number | Effect.Effect<number> {
    const policy = this.#policy
    if (name === "cadence" && this.#interval !== undefined) {
      return putOff(policy, this.#interval * ofInterval(this.#steps++, random.nextDoubleUnsafe()), notBefore)
    }
    if (name === "cadence" || name === "backoff" || name === "openFor") {
      return Effect.map(
        Effect.flatMap(this.#stepper(name), (step) => delayOf(step(now, undefined))),
        (delay) => putOff(policy, millisOf(delay), notBefore)
      )
    }
    // sessions that were opened together must not all be replaced together
    const share = name === "maxLifetime" ? ofInterval(1, random.nextDoubleUnsafe()) : 1
    return putOff(policy, this.#singles[name] * share, notBefore)
  }

  /** It begins anew. */
  reset(name: ScheduleName): void {
    if (name === "cadence") this.#steps = 0
    if (this.#steppers.some((known) => known.name === name)) {
      this.#steppers = this.#steppers.filter((known) => known.name !== name)
    }
  }

  #stepper(name: Stepped): Effect.Effect<Stepper> {
    const known = this.#steppers.find((known) => known.name === name)
    if (known !== undefined) return Effect.succeed(known.step)
    return Effect.map(Schedule.toStep(ofPolicy(this.#policy)[name]), (step) => {
      this.#steppers = this.#steppers.concat({ name, step })
      return step
    })
  }
}

const none: ReadonlyArray<never> = []

/** The longest Retry-After that is honoured: the cap of the backoff, 5 minutes where the backoff is one's own. */
export const retryAfterCap = (policy: KeepalivePolicy): Duration.Duration =>
  Schedule.isSchedule(policy.backoff) ? defaultBackoff.cap : policy.backoff.cap

/** A planned delay, put off to what a server asked for with Retry-After, within {@link retryAfterCap}. */
const putOff = (policy: KeepalivePolicy, planned: number, retryAfter: Duration.Duration | undefined): number =>
  retryAfter === undefined
    ? planned
    : Math.max(planned, Math.min(millisOf(retryAfter), millisOf(retryAfterCap(policy))))

/** The delay of a step of an unending schedule. */
export const delayOf = (
  pull: Pull.Pull<[unknown, Duration.Duration], never, unknown>
): Effect.Effect<Duration.Duration> =>
  Pull.matchEffect(pull, {
    onSuccess: ([, delay]) => Effect.succeed(delay),
    onDone: () => Effect.succeed(Duration.infinity),
    onFailure: Effect.failCause
  })

type Stepper = (now: number, input: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>
