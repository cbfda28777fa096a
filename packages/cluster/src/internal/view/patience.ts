/**
 * For how long calls wait for an owner: all equally long, so the one that began first is late first, and one fiber looks after all of them where each would have
 * one of its own, with a timer.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** One that waits. */
export interface Waiting {
  /** whether it has waited for as long as that */
  readonly isLate: boolean
  /** what is called when it has */
  onLate: (() => void) | undefined
}

export interface Patience {
  /** One begins to wait, until it is given to `end`. */
  readonly begin: () => Waiting
  readonly end: (waiting: Waiting) => void
}

class Entry implements Waiting {
  readonly due: number
  isLate = false
  onLate: (() => void) | undefined = undefined

  constructor(due: number) {
    this.due = due
  }
}

/** Ends with the scope: everybody is late then, as no owner comes any more. */
export const make = (patience: Duration.Duration): Effect.Effect<Patience, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const longest = Duration.toMillis(patience)
    /** in the order in which they began */
    const entries = new Set<Entry>()
    const some = Latch.makeUnsafe()
    let isOver = false
    const late = (entry: Entry) => {
      entries.delete(entry)
      entry.isLate = true
      entry.onLate?.()
    }
    const look = Effect.suspend(() => {
      const [first] = entries
      if (first === undefined) {
        some.closeUnsafe()
        return Effect.void
      }
      const left = first.due - now()
      if (left > 0) return Effect.sleep(left)
      late(first)
      return Effect.void
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(some.await, look)))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isOver = true
        entries.forEach(late)
      })
    )
    return {
      begin: () => {
        const entry = new Entry(now() + longest)
        if (isOver) entry.isLate = true
        else entries.add(entry)
        some.openUnsafe()
        return entry
      },
      end: (waiting) => void (waiting instanceof Entry && entries.delete(waiting))
    }
  })
