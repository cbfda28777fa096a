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
import type { ConfigurationIssue } from "./BackendError.ts"
import { ConfigurationError } from "./BackendError.ts"
import type { Untimed } from "./ConnectionState.ts"
import type { Signal } from "./engine/Signal.ts"
import * as Transition from "./engine/Transition.ts"
import { Delays } from "./internal/delays.ts"
import * as KeepalivePolicy from "./KeepalivePolicy.ts"

/** @since 0.1.0 */
export { backoff, cadence, confirm, openFor } from "./internal/schedules.ts"

/**
 * The transition table as one Schedule, for a bare effect:
 * `probe.pipe(Effect.exit, Effect.repeat(yield* KeepaliveSchedule.make({ interval: "30 seconds" })))`.
 *
 * An exit goes in and counts as Succeeded or Failed(`unknown`) of the attempt or probe that is due; the state comes out,
 * and the delay is the one that the table armed. Actions that need a session (drop, drain, settle calls) are dropped:
 * there is none. Fails with a `ConfigurationError` when the policy is wrong.
 *
 * @since 0.1.0
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
  const sessionless = { ...policy, connect: "eager", idleAfter: "never", maxLifetime: "never" } as const
  const rules = Transition.rules(sessionless, { exclusive: false })
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
          const random = yield* Random.Random
          let delay = Duration.zero
          const feed = function* (signal: Signal) {
            const next = Transition.step(rules, model, signal)
            model = next.model
            for (const action of next.actions) {
              if (action._tag === "Adopt") openedAt = now
              if (action._tag === "Reset") delays.reset(action.schedule)
              if (action._tag === "Run") delay = Duration.zero
              if (action._tag !== "Arm" || (action.timer !== "probe" && action.timer !== "attempt")) continue
              const next = delays.next(action.schedule, now, random)
              delay = Duration.millis(typeof next === "number" ? next : yield* next)
            }
          }
          const isOld = now - openedAt >= Duration.toMillis(policy.stableAfter)
          if (model.stable === "no" && isOld) yield* feed(due("stable"))
          if (!model.running)
            yield* feed(due(model.state._tag === "Connected" || model.state._tag === "Unhealthy" ? "probe" : "attempt"))
          const run = model.running?.run ?? 0
          yield* feed(
            Exit.isSuccess(exit)
              ? { _tag: "Succeeded", run, attention: "always" }
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

const due = (timer: "stable" | "probe" | "attempt"): Signal => ({ _tag: "Due", timer, used: false, calls: "none" })
