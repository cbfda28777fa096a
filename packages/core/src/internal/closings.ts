/**
 * What is being closed and nobody waits for at once: the scopes of sessions, and what an interrupted attempt or probe still does.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** See the module. */
export class Closings {
  readonly #fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
  /** most end as they begin: nothing is held then */
  #fibers: Set<Fiber.Fiber<unknown>> | undefined

  constructor(fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>) {
    this.#fork = fork
  }

  /** whether all that has begun has ended */
  get areOver(): boolean {
    return this.#fibers === undefined
  }

  /** Begins to close. */
  add(closing: Effect.Effect<unknown>): void {
    const fiber = this.#fork(closing)
    if (fiber.pollUnsafe() !== undefined) return
    this.#fibers ??= new Set()
    this.#fibers.add(fiber)
    fiber.addObserver(() => {
      this.#fibers?.delete(fiber)
      if (this.#fibers?.size === 0) this.#fibers = undefined
    })
  }

  /** Waits until all that has begun has ended, and what begins meanwhile. */
  ended(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#fibers === undefined ? Effect.void : Effect.andThen(Fiber.awaitAll(this.#fibers), this.ended())
    )
  }
}
