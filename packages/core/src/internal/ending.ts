/**
 * Effects that a deadline may end, at the price of one fiber, where a race takes two and a timer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Deadlines from "./deadlines.ts"

/**
 * Runs the effect. `listen` gets what ends it, and returns how to stop listening: the effect is then interrupted, and when it has
 * ended what was given follows instead.
 */
const endedBy = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  listen: (end: (instead: Effect.Effect<A, E, R>) => void) => () => void
): Effect.Effect<A, E, R> =>
  Effect.contextWith((context) =>
    Effect.callback<A, E, R>((resume) => {
      let stop = () => {}
      let isEnded = false
      const fiber = Effect.runForkWith(context)(effect)
      const end = (instead: Effect.Effect<A, E, R>) => {
        if (isEnded) return
        isEnded = true
        stop()
        fiber.interruptUnsafe()
        resume(Effect.andThen(Fiber.await(fiber), instead))
      }
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      stop = listen(end)
      if (isEnded) return stop()
      fiber.addObserver((exit) => {
        if (isEnded) return
        isEnded = true
        stop()
        resume(exit)
      })
      return Effect.suspend(() => {
        isEnded = true
        stop()
        return Fiber.interrupt(fiber)
      })
    })
  )

/** As `Effect.timeoutOrElse`, in the queue of all deadlines. */
export const timeoutOrElse = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Duration,
  orElse: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.contextWith((context) => {
    const deadlines = Deadlines.of(context)
    return endedBy(effect, (end) => {
      const deadline = deadlines.set(deadlines.now() + Duration.toMillis(duration), () => end(orElse))
      return () => deadlines.cancel(deadline)
    })
  })
