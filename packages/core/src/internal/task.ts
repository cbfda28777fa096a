/**
 * What a backend does in one place of its life, as effects that follow one another: one fiber at a time, and none around it.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Closings } from "./closings.ts"

/** What a task needs of its backend. */
export interface Port<R> {
  readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
  readonly closings: Closings
}

/** See the module. */
export class Task<R> {
  readonly #port: Port<R>
  #fiber: Fiber.Fiber<unknown, unknown> | undefined
  #isInterrupted = false
  #isStopped = false

  constructor(port: Port<R>) {
    this.#port = port
  }

  /** whether an effect of it has begun and not ended */
  get isRunning(): boolean {
    return this.#fiber !== undefined
  }

  /** whether it was stopped: what has begun may still end, and nothing follows */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Runs an effect after the one before has ended. `ended` may be called within, and may run the next. */
  run<A, E>(effect: Effect.Effect<A, E, R>, ended: (exit: Exit.Exit<A, E>) => void): void {
    this.#isInterrupted = false
    const fiber = this.#port.fork(effect)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return ended(exit)
    this.#fiber = fiber
    fiber.addObserver((exit) => {
      this.#fiber = undefined
      ended(exit)
    })
    // by what it did as it began
    if (this.#isStopped) this.stop()
    else if (this.#isInterrupted) this.interrupt()
  }

  /** Interrupts what runs; something may follow. */
  interrupt(): void {
    this.#isInterrupted = true
    this.#fiber?.interruptUnsafe()
  }

  /** Interrupts what runs, and nothing follows. Its end is awaited as that of a session is. */
  stop(): void {
    this.#isStopped = true
    this.interrupt()
    if (this.#fiber !== undefined) this.#port.closings.add(Fiber.await(this.#fiber))
  }
}
