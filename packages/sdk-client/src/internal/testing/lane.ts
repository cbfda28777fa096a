/**
 * What is on its way in one direction, in order: one thing after the other, each when it is due, none while the server is frozen.
 */
import * as Effect from "effect/Effect"

/** What a lane is made of. */
export interface Options {
  /** monotonic milliseconds */
  readonly now: () => number
  readonly isFrozen: () => boolean
  /** runs what waits for the clock, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
}

interface Task {
  readonly run: () => void | Promise<void>
  readonly dueAt: number
}

/** See the module. */
export class Lane {
  readonly #options: Options
  readonly #tasks: Array<Task> = []
  /** the first task is being waited for, or runs */
  #isBusy = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Adds what is to happen after all that was added before, and not before `delay` milliseconds have passed. */
  add(run: Task["run"], delay = 0): void {
    this.#tasks.push({ run, dueAt: this.#options.now() + delay })
    this.wake()
  }

  /** Goes on, after a freeze. */
  wake(): void {
    const [first] = this.#tasks
    if (first === undefined || this.#isBusy || this.#options.isFrozen()) return
    this.#isBusy = true
    const remaining = first.dueAt - this.#options.now()
    // In a turn of its own: nobody is answered within what asks.
    if (remaining <= 0) queueMicrotask(() => void this.#next())
    else
      this.#options.fork(
        Effect.andThen(
          Effect.sleep(remaining),
          Effect.sync(() => void this.#next())
        )
      )
  }

  /** Nothing of what is on its way arrives. */
  clear(): void {
    this.#tasks.length = 0
  }

  async #next(): Promise<void> {
    // Whoever froze the server while this was due finds it where it was.
    const task = this.#options.isFrozen() ? undefined : this.#tasks.shift()
    await task?.run()
    this.#isBusy = false
    this.wake()
  }
}
