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
export const cadence = (interval: Duration.Input): Schedule.Schedule<number | Duration.Duration> =>
  Schedule.concat(
    Schedule.duration(interval).pipe(scaled((chance) => chance / 4)),
    Schedule.spaced(interval).pipe(scaled((chance) => 0.9 + chance / 5))
  )

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

/** The schedule behind each name that the table uses; made when it is asked for, since most backends never need most. */
export const ofPolicy = (
  policy: KeepalivePolicy.KeepalivePolicy
): { readonly [Name in ScheduleName]: KeepalivePolicy.OwnSchedule } => ({
  get cadence() {
    return unending(policy.cadence ?? cadence(policy.interval))
  },
  get confirm() {
    return confirm(policy.confirmInterval)
  },
  get backoff() {
    return unending(Schedule.isSchedule(policy.backoff) ? policy.backoff : backoff(policy.backoff))
  },
  get openFor() {
    if (policy.circuit === "none") return openFor(KeepalivePolicy.defaultOpenFor)
    const given = policy.circuit.openFor
    return unending(Schedule.isSchedule(given) ? given : openFor(given))
  },
  get stableAfter() {
    return Schedule.spaced(policy.stableAfter)
  },
  get idleAfter() {
    return Schedule.spaced(policy.idleAfter === "never" ? Duration.infinity : policy.idleAfter)
  },
  get confirmInterval() {
    return Schedule.spaced(policy.confirmInterval)
  },
  // 1 second at least: `Retry-After: 0` is no invitation to hammer
  get retryAfter() {
    return Schedule.spaced("1 second")
  }
})

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
  const schedules = ofPolicy(policy)
  return Schedule.fromStep(
    Effect.sync(() => {
      let model = Transition.initial(rules).model
      let openedAt = 0
      const steppers = new Map<ScheduleName, Stepper>()

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
              if (action._tag === "Reset") steppers.delete(action.schedule)
              if (action._tag === "Run") delay = Duration.zero
              if (action._tag !== "Arm" || (action.timer !== "probe" && action.timer !== "attempt")) continue
              const stepper = steppers.get(action.schedule) ?? (yield* Schedule.toStep(schedules[action.schedule]))
              steppers.set(action.schedule, stepper)
              delay = yield* delayOf(stepper(now, undefined))
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

const scaled =
  (factor: (chance: number) => number) =>
  <Output, Input, E, R>(self: Schedule.Schedule<Output, Input, E, R>): Schedule.Schedule<Output, Input, E, R> =>
    Schedule.modifyDelay(self, ({ duration }) =>
      Effect.map(Random.next, (chance) => Duration.times(duration, factor(chance)))
    )

/** A backend outlives a schedule that ends: its last delay is repeated, of a second at least, so that it is no hot loop. */
const unending = (self: KeepalivePolicy.OwnSchedule): KeepalivePolicy.OwnSchedule =>
  Schedule.fromStep(
    Effect.map(Schedule.toStep(self), (step) => {
      let last: [unknown, Duration.Duration] = [undefined, Duration.zero]
      return (now: number, input: unknown) =>
        Pull.matchEffect(step(now, input), {
          onSuccess: (next) => Effect.sync(() => (last = next)),
          onDone: () =>
            Effect.succeed<[unknown, Duration.Duration]>([last[0], Duration.max(last[1], Duration.seconds(1))]),
          onFailure: Effect.failCause
        })
    })
  )
