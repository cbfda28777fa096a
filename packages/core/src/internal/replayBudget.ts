/**
 * How many calls may be run again: a share of the calls of the last seconds. A backend that flaps under load must not be met with
 * more calls than were made.
 */
import * as Duration from "effect/Duration"

/** See the module. Times are monotonic milliseconds. */
export class ReplayBudget {
  readonly #ratio: number
  /** of one slice, in milliseconds */
  readonly #length: number
  /** what was counted in each, the slice of a time being that time by the length, in turn */
  readonly #calls: Array<number> = []
  readonly #replays: Array<number> = []
  /** the number of the slice that is being filled */
  #current = 0

  constructor({ ratio, window }: { readonly ratio: number; readonly window: Duration.Duration }) {
    this.#ratio = ratio
    this.#length = Duration.toMillis(window) / slices
  }

  /** A call has begun to run for the first time. */
  called(now: number): void {
    this.#turn(now)
    add(this.#calls, this.#current)
  }

  /** Whether another call may be run again. */
  allows(now: number): boolean {
    this.#turn(now)
    const replays = this.#sum(this.#replays, slices)
    // what lies in part before the window counts as replays, and not as calls
    return replays === 0 || replays + 1 <= this.#ratio * this.#sum(this.#calls, slices - 1)
  }

  /**
   * Whether what ends a session that has been stable since then costs nothing: it has been so for a window, so that its end comes once and
   * not again and again, and what was under way may follow to the next session as a whole.
   */
  spares(stableSince: number | undefined, now: number): boolean {
    return stableSince !== undefined && now - stableSince >= this.#length * slices
  }

  /** Runs a call again, if that is allowed. */
  take(now: number): boolean {
    if (!this.allows(now)) return false
    add(this.#replays, this.#current)
    return true
  }

  #turn(now: number): void {
    const slice = Math.floor(now / this.#length)
    const passed = slice - this.#current
    if (passed <= 0) return
    for (let next = Math.max(this.#current + 1, slice - slices); next <= slice; next++) {
      this.#calls[next % kept] = 0
      this.#replays[next % kept] = 0
    }
    this.#current = slice
  }

  /** Of the current slice and so many before it. */
  #sum(counted: ReadonlyArray<number>, before: number): number {
    let sum = 0
    for (let slice = this.#current; slice >= this.#current - before; slice--) sum += counted[slice % kept] ?? 0
    return sum
  }
}

/** the window moves on by a tenth of itself */
const slices = 10
/** the one that is being filled, and those of a window before it */
const kept = slices + 1

const add = (counted: Array<number>, slice: number): void => {
  counted[slice % kept] = (counted[slice % kept] ?? 0) + 1
}
