/**
 * The four schedules, and what becomes of one's own: `KeepaliveSchedule` has them in front.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Exponential, OwnSchedule } from "../KeepalivePolicy.ts"

/**
 * Probes of a healthy session: the first within a quarter of the interval, drawn at random, so that the handshake does
 * not postpone it and many backends spread out; then every interval, ±10 % anew at each step.
 */
export const cadence = (interval: Duration.Input): Schedule.Schedule<number> => {
  const time = Duration.fromInputUnsafe(interval)
  return Schedule.fromStep(
    Effect.sync(() => {
      let steps = 0
      return () =>
        Effect.map(Random.next, (chance): [number, Duration.Duration] => [
          steps,
          Duration.times(time, ofInterval(steps++, chance))
        ])
    })
  )
}

/** How many intervals the delay of that step takes, which chance from 0 to 1 decides: what {@link cadence} is made of. */
export const ofInterval = (step: number, chance: number): number => (step === 0 ? chance / 4 : 0.9 + chance / 5)

/** Probes of an Unhealthy session: a death is confirmed in seconds also where the interval is minutes. */
export const confirm = (confirmInterval: Duration.Input): Schedule.Schedule<number> => Schedule.spaced(confirmInterval)

/**
 * Delays between attempts: `initial × factor^n` up to `cap`, jittered by 0.8 to 1.2 so that clients of one server do not
 * return in step (gRPC connection-backoff.md). The cap holds after jitter.
 */
export const backoff = (options: Exponential<Duration.Input>): Schedule.Schedule<unknown> =>
  exponential(options).pipe(
    Schedule.jittered,
    Schedule.modifyDelay(({ duration }) =>
      Effect.succeed(Duration.min(duration, Duration.fromInputUnsafe(options.cap)))
    )
  )

/** How long the circuit stays open: a failed trial takes the next, longer delay. Exact, as an operator wrote it. */
export const openFor = (options: Exponential<Duration.Input>): Schedule.Schedule<unknown> => exponential(options)

const exponential = (options: Exponential<Duration.Input>) =>
  Schedule.min([Schedule.exponential(options.initial, options.factor), Schedule.spaced(options.cap)])

/**
 * A backend outlives a schedule that ends, or that is broken: its last delay is repeated, of a second at least, so that it is no
 * hot loop.
 */
export const unending = (self: OwnSchedule): OwnSchedule =>
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
