/**
 * One watcher a clock compares wall time with monotonic time: a difference means that the machine slept or that the
 * clock was set, and that what timed out meanwhile proves nothing.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

const period = Duration.seconds(5)
/** a difference below this is drift or a slow scheduler */
const tolerance = 1000

interface Watch {
  readonly listeners: Set<() => void>
  readonly fiber: Fiber.Fiber<unknown>
}

const watches = new WeakMap<Clock.Clock, Watch>()

/** Calls `onJump` after every jump, until the scope closes. The last to leave ends the watcher. */
export const watch = (onJump: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const known = watches.get(clock)
        const listeners = known?.listeners ?? new Set()
        listeners.add(onJump)
        if (known) return
        const fiber = Effect.runFork(Effect.provideService(compare(clock, listeners), Clock.Clock, clock))
        watches.set(clock, { listeners, fiber })
      }),
      () =>
        Effect.suspend(() => {
          const known = watches.get(clock)
          known?.listeners.delete(onJump)
          if (known === undefined || known.listeners.size > 0) return Effect.void
          watches.delete(clock)
          return Fiber.interrupt(known.fiber)
        })
    )
  })

const compare = (clock: Clock.Clock, listeners: ReadonlySet<() => void>) => {
  const offset = () => clock.currentTimeMillisUnsafe() - Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  let before = offset()
  return Effect.sleep(period).pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        const now = offset()
        if (Math.abs(now - before) > tolerance) for (const listener of listeners) listener()
        before = now
      })
    ),
    Effect.forever
  )
}
