/**
 * Calls of other processes to a backend that this one keeps: how many are under way, and that they end before the backend does.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

export type Refused = "over" | "full"

export class Calls {
  #underWay = 0
  #isOver = false
  readonly #none = Latch.makeUnsafe(true)
  readonly #most: number

  /** `most`: how many may be under way. */
  constructor(most: number) {
    this.#most = most
  }

  /** Whether another one may begin. */
  get refused(): Refused | undefined {
    if (this.#isOver) return "over"
    return this.#underWay >= this.#most ? "full" : undefined
  }

  /** One that is under way until it ends. */
  run<A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.#underWay++
      this.#none.closeUnsafe()
      return Effect.onExitPrimitive(call, () => {
        if (--this.#underWay === 0) this.#none.openUnsafe()
        return undefined
      })
    })
  }

  /** Lets none begin any more, and waits for those that have, at most for that long. */
  end(drain: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isOver = true
      return Effect.asVoid(Effect.timeoutOption(this.#none.await, drain))
    })
  }
}
