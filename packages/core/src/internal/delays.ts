/**
 * The delays of one backend: each schedule goes on where it was left, until it is reset.
 */
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { ScheduleName } from "../Action.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import * as KeepaliveSchedule from "../KeepaliveSchedule.ts"

export interface Delays {
  /** Steps the schedule; not shorter than the server asked for, if it did. */
  readonly next: (schedule: ScheduleName, notBefore: Duration.Duration | undefined) => Effect.Effect<Duration.Duration>
  readonly reset: (schedule: ScheduleName) => void
}

type Stepper =
  ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>> extends Effect.Effect<infer Step> ? Step : never

export const make = (policy: KeepalivePolicy, clock: Clock.Clock): Delays => {
  const schedules = KeepaliveSchedule.ofPolicy(policy)
  const steppers = new Map<ScheduleName, Stepper>()
  return {
    next: Effect.fnUntraced(function* (schedule, notBefore) {
      const stepper = steppers.get(schedule) ?? (yield* Schedule.toStep(schedules[schedule]))
      steppers.set(schedule, stepper)
      const planned = yield* KeepaliveSchedule.delayOf(stepper(clock.currentTimeMillisUnsafe(), undefined))
      return KeepaliveSchedule.putOff(policy, planned, notBefore)
    }),
    reset: (schedule) => void steppers.delete(schedule)
  }
}
