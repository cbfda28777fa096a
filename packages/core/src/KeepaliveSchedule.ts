/**
 * Every delay, as plain Effect Schedules: each is usable alone with `Effect.repeat` and `Effect.retry`, and each can be
 * replaced in the policy by one's own. {@link make} is the transition table itself as one Schedule.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ScheduleName } from "./Action.ts"
import type { ConfigurationIssue } from "./BackendError.ts"
import { ConfigurationError } from "./BackendError.ts"
import type { Untimed } from "./ConnectionState.ts"
import * as KeepalivePolicy from "./KeepalivePolicy.ts"
import type { Signal } from "./Signal.ts"
import * as Transition from "./Transition.ts"

/**
 * Probes of a healthy session: the first within a quarter of the interval, drawn at random, so that the handshake does
 * not postpone it and many backends spread out; then every interval, ±10 % anew at each step.
 */
export const cadence = (interval: Duration.Input): Schedule.Schedule<number> => {
  const time = Duration.fromInputUnsafe(interval)
  // Every backend at rest is somewhere in one of these: it holds a number, where `concat` and `modifyDelay` would hold 5 KB.
  return Schedule.fromStep(
    Effect.sync(() => {
      let steps = 0
      return () =>
        Effect.map(Random.next, (chance): [number, Duration.Duration] => [
          steps,
          Duration.times(time, steps++ === 0 ? chance / 4 : 0.9 + chance / 5)
        ])
    })
  )
}

/** Probes of an Unhealthy session: a death is confirmed in seconds also where the interval is minutes. */
export const confirm = (confirmInterval: Duration.Input): Schedule.Schedule<number> => Schedule.spaced(confirmInterval)

/**
 * Delays between attempts: `initial × factor^n` up to `cap`, jittered by 0.8 to 1.2 so that clients of one server do not
 * return in step (gRPC connection-backoff.md). The cap holds after jitter.
 */
export const backoff = (options: KeepalivePolicy.Exponential<Duration.Input>): Schedule.Schedule<unknown> =>
  exponential(options).pipe(
    Schedule.jittered,
    Schedule.modifyDelay(({ duration }) =>
      Effect.succeed(Duration.min(duration, Duration.fromInputUnsafe(options.cap)))
    )
  )

/** How long the circuit stays open: a failed trial takes the next, longer delay. Exact, as an operator wrote it. */
export const openFor = (options: KeepalivePolicy.Exponential<Duration.Input>): Schedule.Schedule<unknown> =>
  exponential(options)

/** The schedule behind each name that the table uses: made once for a policy, and shared by the backends that have it. */
export const ofPolicy = (policy: KeepalivePolicy.KeepalivePolicy): Schedules => {
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

type Schedules = { readonly [Name in ScheduleName]: KeepalivePolicy.OwnSchedule }

const made = new WeakMap<KeepalivePolicy.KeepalivePolicy, Schedules>()

/** Delays that are always the same, so that no backend keeps where it is in them. */
const singlesOf = (policy: KeepalivePolicy.KeepalivePolicy) => ({
  stableAfter: policy.stableAfter,
  idleAfter: policy.idleAfter === "never" ? Duration.infinity : policy.idleAfter,
  confirmInterval: policy.confirmInterval,
  // 1 second at least: `Retry-After: 0` is no invitation to hammer
  retryAfter: Duration.seconds(1)
})

const singleOf = (policy: KeepalivePolicy.KeepalivePolicy, name: ScheduleName): Duration.Duration | undefined => {
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

const openForOf = ({ circuit }: KeepalivePolicy.KeepalivePolicy): KeepalivePolicy.OwnSchedule => {
  if (circuit === "none") return openFor(KeepalivePolicy.defaultOpenFor)
  return Schedule.isSchedule(circuit.openFor) ? unending(circuit.openFor) : openFor(circuit.openFor)
}

/** The schedules of one backend, each where it was left: stepped when a delay is asked for, and nothing is kept of the others. */
export class Delays {
  readonly #policy: KeepalivePolicy.KeepalivePolicy
  /** those that were stepped: few, so that looking through them is cheaper than a map */
  #steppers: ReadonlyArray<{ readonly name: ScheduleName; readonly step: Stepper }> = []

  constructor(policy: KeepalivePolicy.KeepalivePolicy) {
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
export const retryAfterCap = (policy: KeepalivePolicy.KeepalivePolicy): Duration.Duration =>
  Schedule.isSchedule(policy.backoff) ? KeepalivePolicy.defaultBackoff.cap : policy.backoff.cap

/** A planned delay, put off to what a server asked for with Retry-After, within {@link retryAfterCap}. */
export const putOff = (
  policy: KeepalivePolicy.KeepalivePolicy,
  planned: Duration.Duration,
  retryAfter: Duration.Duration | undefined
): Duration.Duration =>
  retryAfter === undefined ? planned : Duration.max(planned, Duration.min(retryAfter, retryAfterCap(policy)))

/**
 * The transition table as one Schedule, for a bare effect:
 * `probe.pipe(Effect.exit, Effect.repeat(yield* KeepaliveSchedule.make({ interval: "30 seconds" })))`.
 *
 * An exit goes in and counts as Succeeded or Failed(`unknown`) of the attempt or probe that is due; the state comes out,
 * and the delay is the one that the table armed. Actions that need a session (drop, drain, settle calls) are dropped:
 * there is none. Fails with a `ConfigurationError` when the policy is wrong.
 */
export const make = (
  options: KeepalivePolicy.Options = {}
): Effect.Effect<Schedule.Schedule<Untimed, Exit.Exit<unknown, unknown>>, ConfigurationError> =>
  Effect.suspend(() => {
    const { policy, issues } = KeepalivePolicy.resolve(options, { connectTimeout: "30 seconds", supportsOptions: true })
    return issues.length > 0 ? Effect.fail(wrong(issues)) : Effect.succeed(ofTable(policy))
  })

const wrong = (issues: ReadonlyArray<ConfigurationIssue>) => new ConfigurationError({ backend: "(schedule)", issues })

const ofTable = (policy: KeepalivePolicy.KeepalivePolicy): Schedule.Schedule<Untimed, Exit.Exit<unknown, unknown>> => {
  const rules = Transition.rules({ ...policy, connect: "eager", idleAfter: "never" }, { exclusive: false })
  return Schedule.fromStep(
    Effect.sync(() => {
      let model = Transition.initial(rules).model
      let openedAt = 0
      const delays = new Delays(policy)

      return (
        now: number,
        exit: Exit.Exit<unknown, unknown>
      ): Pull.Pull<[Untimed, Duration.Duration], never, Untimed> =>
        Effect.gen(function* () {
          let delay = Duration.zero
          const feed = function* (signal: Signal) {
            const next = Transition.step(rules, model, signal)
            model = next.model
            for (const action of next.actions) {
              if (action._tag === "Adopt") openedAt = now
              if (action._tag === "Reset") delays.reset(action.schedule)
              if (action._tag === "Run") delay = Duration.zero
              if (action._tag !== "Arm" || (action.timer !== "probe" && action.timer !== "attempt")) continue
              delay = yield* delays.next(action.schedule, now)
            }
          }
          const isOld = now - openedAt >= Duration.toMillis(policy.stableAfter)
          if (model.stable === "no" && isOld) yield* feed(due("stable"))
          if (!model.running)
            yield* feed(due(model.state._tag === "Connected" || model.state._tag === "Unhealthy" ? "probe" : "attempt"))
          const run = model.running?.run ?? 0
          yield* feed(
            Exit.isSuccess(exit)
              ? { _tag: "Succeeded", run, probed: true }
              : {
                  _tag: "Failed",
                  run,
                  reason: "unknown",
                  callInFlight: false,
                  silentFor: Duration.zero,
                  missedFor: Duration.zero,
                  late: false,
                  draining: false
                }
          )
          return [model.state, delay] as [Untimed, Duration.Duration]
        })
    })
  )
}

type Stepper = (now: number, input: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

const due = (timer: "stable" | "probe" | "attempt"): Signal => ({ _tag: "Due", timer, used: false })

/** The delay of a step of an unending schedule. */
export const delayOf = (
  pull: Pull.Pull<[unknown, Duration.Duration], never, unknown>
): Effect.Effect<Duration.Duration> =>
  Pull.matchEffect(pull, {
    onSuccess: ([, delay]) => Effect.succeed(delay),
    onDone: () => Effect.succeed(Duration.infinity),
    onFailure: Effect.failCause
  })

const exponential = (options: KeepalivePolicy.Exponential<Duration.Input>) =>
  Schedule.min([Schedule.exponential(options.initial, options.factor), Schedule.spaced(options.cap)])

/**
 * A backend outlives a schedule that ends, or that is broken: its last delay is repeated, of a second at least, so that it is no
 * hot loop.
 */
const unending = (self: KeepalivePolicy.OwnSchedule): KeepalivePolicy.OwnSchedule =>
  Schedule.fromStep(
    Effect.map(Schedule.toStep(self), (step) => {
      let last: [unknown, Duration.Duration] = [undefined, Duration.zero]
      const again = Effect.sync((): [unknown, Duration.Duration] => [
        last[0],
        Duration.max(last[1], Duration.seconds(1))
      ])
      return (now: number, input: unknown) =>
        Pull.matchEffect(
          Effect.suspend(() => step(now, input)),
          {
            onSuccess: (next) => Effect.sync(() => (last = next)),
            onDone: () => again,
            onFailure: () => again
          }
        )
    })
  )
