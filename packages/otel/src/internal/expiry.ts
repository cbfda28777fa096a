/**
 * Keys that are due a fixed time after they were set: one fiber waits for the next of them, and none while there is none.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"

export interface Expiry {
  /** Sets a key anew. */
  readonly set: (key: string) => void
  readonly delete: (key: string) => void
}

/** `onDue` runs with a key that is no longer set; it may set it again. Nothing is ever due if `after` is infinite. */
export const make = Effect.fnUntraced(function* (after: Duration.Duration, onDue: (key: string) => void) {
  const clock = yield* Clock.Clock
  const start = yield* FiberHandle.makeRuntime<never>()
  const delay = Duration.toMillis(after)
  /** in the order in which they are due, since all wait equally long */
  const dues = new Map<string, number>()
  let waiting = false

  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const wait = Effect.gen(function* () {
    for (let [next] = dues; next !== undefined; [next] = dues) {
      const [key, due] = next
      const left = due - now()
      if (left > 0) {
        yield* Effect.sleep(left)
      } else {
        dues.delete(key)
        onDue(key)
      }
    }
    waiting = false
  })

  const expiry: Expiry = {
    set: (key) => {
      if (!Number.isFinite(delay)) return
      dues.delete(key)
      dues.set(key, now() + delay)
      if (waiting) return
      waiting = true
      start(wait)
    },
    delete: (key) => dues.delete(key)
  }
  return expiry
})
