/** Clocks of one's own. */
import { Clock, Duration, Effect } from "effect"

/** For real processes in what seems to be minutes: one whose hour lasts an hour divided by `factor`. */
export const fast = (factor: number): Effect.Effect<Clock.Clock> =>
  Effect.map(Clock.Clock, (real) => {
    const began = real.monotonicTimeNanosUnsafe()
    const wall = real.currentTimeNanosUnsafe()
    const elapsed = () => (real.monotonicTimeNanosUnsafe() - began) * BigInt(factor)
    const monotonic = () => began + elapsed()
    const nanos = () => wall + elapsed()
    const millis = () => Number(nanos() / 1_000_000n)
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => real.sleep(Duration.times(duration, 1 / factor))
    }
  })

/** One that counts who sleeps on it. */
export const counting = Effect.map(Clock.Clock, (real) => {
  let sleeping = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
    currentTimeMillis: real.currentTimeMillis,
    currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe(),
    currentTimeNanos: real.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => sleeping++),
        () => real.sleep(duration),
        () => Effect.sync(() => sleeping--)
      )
  }
  return { clock, sleeping: () => sleeping }
})
