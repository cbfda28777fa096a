/**
 * The delay behind each name that the table uses, from the schedules of a policy.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { ScheduleName } from "../engine/Action.ts"
import type { KeepalivePolicy, OwnSchedule } from "../KeepalivePolicy.ts"
import { defaultBackoff, defaultOpenFor } from "./defaults.ts"
import { backoff, cadence, confirm, openFor, unending } from "./schedules.ts"

/** The schedule behind each name that the table uses: made once for a policy, and shared by the backends that have it. */
export const ofPolicy = (policy: KeepalivePolicy): Schedules => {
  const known = made.get(policy)
  if (known !== undefined) return known
  const single = singlesOf(policy)
  const schedules: Schedules = {
    cadence: policy.cadence === undefined ? cadence(policy.interval) : unending(policy.cadence),
    confirm: confirm(policy.confirmInterval),
    backoff: Schedule.isSchedule(policy.backoff) ? unending(policy.backoff) : backoff(policy.backoff),
    openFor: openForOf(policy),
    stableAfter: Schedule.spaced(single.stableAfter),
    idleAfter: Schedule.spaced(single.idleAfter),
    confirmInterval: Schedule.spaced(single.confirmInterval),
    retryAfter: Schedule.spaced(single.retryAfter)
  }
  made.set(policy, schedules)
  return schedules
}

type Schedules = { readonly [Name in ScheduleName]: OwnSchedule }

const made = new WeakMap<KeepalivePolicy, Schedules>()

/** Delays that are always the same, so that no backend keeps where it is in them. */
const singlesOf = (policy: KeepalivePolicy) => ({
  stableAfter: policy.stableAfter,
  idleAfter: policy.idleAfter === "never" ? Duration.infinity : policy.idleAfter,
  confirmInterval: policy.confirmInterval,
  // 1 second at least: `Retry-After: 0` is no invitation to hammer
  retryAfter: Duration.seconds(1)
})

const singleOf = (policy: KeepalivePolicy, name: ScheduleName): Duration.Duration | undefined => {
  switch (name) {
    case "stableAfter":
    case "idleAfter":
    case "confirmInterval":
    case "retryAfter":
      return singlesOf(policy)[name]
    default:
      return undefined
  }
}

const openForOf = ({ circuit }: KeepalivePolicy): OwnSchedule => {
  if (circuit === "none") return openFor(defaultOpenFor)
  return Schedule.isSchedule(circuit.openFor) ? unending(circuit.openFor) : openFor(circuit.openFor)
}

/** The schedules of one backend, each where it was left: stepped when a delay is asked for, and nothing is kept of the others. */
export class Delays {
  readonly #policy: KeepalivePolicy
  /** those that were stepped: few, so that looking through them is cheaper than a map */
  #steppers: ReadonlyArray<{ readonly name: ScheduleName; readonly step: Stepper }> = []

  constructor(policy: KeepalivePolicy) {
    this.#policy = policy
  }

  /** Steps the schedule; not shorter than the server asked for, if it did. `now`: wall clock, in milliseconds. */
  next(name: ScheduleName, now: number, notBefore?: Duration.Duration): Effect.Effect<Duration.Duration> {
    const single = singleOf(this.#policy, name)
    const planned =
      single === undefined
        ? Effect.flatMap(this.#stepper(name), (step) => delayOf(step(now, undefined)))
        : Effect.succeed(single)
    return notBefore === undefined ? planned : Effect.map(planned, (delay) => putOff(this.#policy, delay, notBefore))
  }

  /** It begins anew. */
  reset(name: ScheduleName): void {
    if (this.#steppers.some((known) => known.name === name)) {
      this.#steppers = this.#steppers.filter((known) => known.name !== name)
    }
  }

  #stepper(name: ScheduleName): Effect.Effect<Stepper> {
    const known = this.#steppers.find((known) => known.name === name)
    if (known !== undefined) return Effect.succeed(known.step)
    return Effect.map(Schedule.toStep(ofPolicy(this.#policy)[name]), (step) => {
      this.#steppers = this.#steppers.concat({ name, step })
      return step
    })
  }
}

/** The longest Retry-After that is honoured: the cap of the backoff, 5 minutes where the backoff is one's own. */
export const retryAfterCap = (policy: KeepalivePolicy): Duration.Duration =>
  Schedule.isSchedule(policy.backoff) ? defaultBackoff.cap : policy.backoff.cap

/** A planned delay, put off to what a server asked for with Retry-After, within {@link retryAfterCap}. */
export const putOff = (
  policy: KeepalivePolicy,
  planned: Duration.Duration,
  retryAfter: Duration.Duration | undefined
): Duration.Duration =>
  retryAfter === undefined ? planned : Duration.max(planned, Duration.min(retryAfter, retryAfterCap(policy)))

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
