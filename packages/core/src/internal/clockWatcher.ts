/**
 * Compares wall time with monotonic time: a difference means that the machine slept or that the clock was set, and that what
 * timed out meanwhile proves nothing.
 */
import type * as Clock from "effect/Clock"
import type { Deadline, Deadlines } from "./deadlines.ts"

/** milliseconds between two comparisons */
const period = 5000
/** a difference below this is drift or a slow scheduler */
const tolerance = 1000

/** Who wants to know of a jump. */
export interface Listener {
  readonly jumped: () => void
}

/** One for each clock, while somebody listens. */
class Watch {
  readonly listeners = new Set<Listener>()
  readonly #clock: Clock.Clock
  readonly #deadlines: Deadlines
  #offset: number
  #next: Deadline

  constructor(clock: Clock.Clock, deadlines: Deadlines) {
    this.#clock = clock
    this.#deadlines = deadlines
    this.#offset = this.#measured()
    this.#next = this.#arm()
  }

  stop(): void {
    this.#deadlines.cancel(this.#next)
  }

  #measured(): number {
    return this.#clock.currentTimeMillisUnsafe() - this.#deadlines.now()
  }

  #arm(): Deadline {
    return this.#deadlines.set(this.#deadlines.now() + period, () => {
      this.#next = this.#arm()
      this.look()
    })
  }

  look(): void {
    const offset = this.#measured()
    const hasJumped = Math.abs(offset - this.#offset) > tolerance
    this.#offset = offset
    if (hasJumped) for (const listener of this.listeners) listener.jumped()
  }
}

const watches = new WeakMap<Clock.Clock, Watch>()

/** Tells of every jump from now on. */
export const watch = (clock: Clock.Clock, deadlines: Deadlines, listener: Listener): void => {
  const watching = watches.get(clock) ?? new Watch(clock, deadlines)
  watches.set(clock, watching)
  watching.listeners.add(listener)
}

/** Compares now, and tells of a jump: for who judges, and must not be the first to meet what a jump has done. */
export const look = (clock: Clock.Clock): void => watches.get(clock)?.look()

/** Tells this one no more. The last to leave ends the watching. */
export const unwatch = (clock: Clock.Clock, listener: Listener): void => {
  const watching = watches.get(clock)
  watching?.listeners.delete(listener)
  if (watching === undefined || watching.listeners.size > 0) return
  watching.stop()
  watches.delete(clock)
}
