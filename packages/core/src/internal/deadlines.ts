/**
 * What is due when, of everything that shares a clock: one queue, and one fiber that sleeps until the first of it. A backend at
 * rest costs an entry here instead of a fiber and a timer, and virtual time moves the queue as it moves any sleep.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/** Something that is due at a time, until it has come or was cancelled. */
export interface Deadline {
  /** monotonic milliseconds */
  readonly at: number
}

/** Those of one clock. */
export interface Deadlines {
  /** monotonic milliseconds */
  readonly now: () => number
  /**
   * Calls `due` when the time has come: once, never within this call, and in the order of the times. One that is infinite is
   * never due.
   */
  readonly set: (at: number, due: () => void) => Deadline
  /** It is not due any more. Nothing for one that was. */
  readonly cancel: (deadline: Deadline | undefined) => void
}

const queues = new WeakMap<Clock.Clock, Queue>()

/** The deadlines of the clock of the context. */
export const of = (context: Context.Context<never>): Deadlines => {
  const clock = Context.get(context, Clock.Clock)
  const known = queues.get(clock)
  if (known !== undefined) return known
  const queue = new Queue(clock, Context.get(context, Scheduler.Scheduler))
  queues.set(clock, queue)
  return queue
}

/** Timers fire at whole milliseconds and times are rounded to nanoseconds: what remains below this is no time. */
const tolerance = 0.001

class Entry implements Deadline {
  readonly at: number
  /** of those that are due at the same time, the older one comes first */
  readonly order: number
  readonly due: () => void
  /** where it is in the queue; -1 once it is not */
  index = -1

  constructor(at: number, order: number, due: () => void) {
    this.at = at
    this.order = order
    this.due = due
  }
}

const isBefore = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order)

/** A binary heap: setting and cancelling cost the logarithm of how many there are. */
class Queue implements Deadlines {
  readonly #clock: Clock.Clock
  readonly #fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  readonly #heap: Array<Entry> = []
  #set = 0
  #sleeper: Fiber.Fiber<void> | undefined
  #wakesAt = Number.POSITIVE_INFINITY
  #isWaking = false

  constructor(clock: Clock.Clock, scheduler: Scheduler.Scheduler) {
    this.#clock = clock
    this.#fork = Effect.runForkWith(Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, scheduler)))
  }

  readonly now = (): number => Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6

  readonly set = (at: number, due: () => void): Deadline => {
    const entry = new Entry(at, this.#set++, due)
    if (at === Number.POSITIVE_INFINITY) return entry
    this.#rise(this.#heap.length, entry)
    this.#sleep()
    return entry
  }

  readonly cancel = (deadline: Deadline | undefined): void => {
    if (!(deadline instanceof Entry) || deadline.index < 0) return
    this.#remove(deadline)
    // where others are left, the sleeper looks at them when it wakes
    if (this.#heap.length === 0) this.#stop()
  }

  /** One sleeper, which never sleeps for too long; one that wakes too early goes to sleep again. */
  #sleep(): void {
    const [first] = this.#heap
    if (first === undefined || this.#isWaking || this.#wakesAt <= first.at) return
    this.#stop()
    this.#wakesAt = first.at
    const left = first.at - this.now()
    // what is due already is so in a turn of its own, too
    const sleeping = left > 0 ? this.#clock.sleep(Duration.millis(left)) : Effect.yieldNow
    this.#sleeper = this.#fork(
      Effect.andThen(
        sleeping,
        Effect.sync(() => this.#wake())
      )
    )
  }

  #stop(): void {
    this.#sleeper?.interruptUnsafe()
    this.#sleeper = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
  }

  #wake(): void {
    this.#sleeper = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
    this.#isWaking = true
    const until = this.now() + tolerance
    try {
      for (let [first] = this.#heap; first !== undefined && first.at <= until; [first] = this.#heap) {
        this.#remove(first)
        first.due()
      }
    } finally {
      this.#isWaking = false
      this.#sleep()
    }
  }

  #remove(entry: Entry): void {
    const { index } = entry
    entry.index = -1
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    const parent = this.#heap[(index - 1) >> 1]
    if (parent !== undefined && index > 0 && isBefore(last, parent)) this.#rise(index, last)
    else this.#sink(index, last)
  }

  #rise(from: number, entry: Entry): void {
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above]
      if (parent === undefined || !isBefore(entry, parent)) break
      this.#place(index, parent)
      index = above
    }
    this.#place(index, entry)
  }

  #sink(from: number, entry: Entry): void {
    let index = from
    while (true) {
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, entry)) break
      const below = child.index
      this.#place(index, child)
      index = below
    }
    this.#place(index, entry)
  }

  #place(index: number, entry: Entry): void {
    this.#heap[index] = entry
    entry.index = index
  }
}
