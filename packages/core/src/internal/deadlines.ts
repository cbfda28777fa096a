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
import { Chain, type Link } from "./chain.ts"
import { Heap } from "./heap.ts"

/** Something that is due at a time, until it has come or was cancelled. */
export interface Deadline {
  readonly due: () => void
}

/** Those of one clock. */
export interface Deadlines {
  /** monotonic milliseconds */
  readonly now: () => number
  /**
   * Calls `due` when the time has come: once, never within this call, and in the order of the times, of those within one
   * millisecond in the order in which they were set. One that is infinite is never due.
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

/** Times are rounded to nanoseconds: what remains below this is no time. In milliseconds. */
const tolerance = 0.001

/** Timers fire at whole milliseconds, so what is due within one comes at its end. */
const slotOf = (at: number) => Math.ceil(at - tolerance)

class Entry implements Deadline, Link<Entry> {
  readonly due: () => void
  /** where it is in the queue; `undefined` once it is not */
  slot: Slot | undefined
  before: Entry | undefined
  after: Entry | undefined

  constructor(due: () => void) {
    this.due = due
  }
}

/** What is due in one millisecond, in the order in which it was set. */
class Slot extends Chain<Entry> {
  readonly at: number
  index = -1

  constructor(at: number) {
    super()
    this.at = at
  }
}

/**
 * A heap of slots. Ten thousand backends that are probed share a few hundred: setting and cancelling mostly cost a look
 * into a map, else the logarithm of how many slots there are.
 */
class Queue implements Deadlines {
  readonly #clock: Clock.Clock
  readonly #fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  readonly #heap = new Heap<Slot>()
  readonly #slots = new Map<number, Slot>()
  #sleeper: Fiber.Fiber<void> | undefined
  #wakesAt = Number.POSITIVE_INFINITY
  #isWaking = false

  constructor(clock: Clock.Clock, scheduler: Scheduler.Scheduler) {
    this.#clock = clock
    this.#fork = Effect.runForkWith(Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, scheduler)))
  }

  readonly now = (): number => Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6

  readonly set = (at: number, due: () => void): Deadline => {
    const entry = new Entry(due)
    if (at === Number.POSITIVE_INFINITY) return entry
    const slot = this.#slots.get(slotOf(at)) ?? this.#open(slotOf(at))
    slot.add(entry)
    entry.slot = slot
    this.#sleep()
    return entry
  }

  readonly cancel = (deadline: Deadline | undefined): void => {
    if (!(deadline instanceof Entry) || deadline.slot === undefined) return
    this.#remove(deadline, deadline.slot)
    // where others are left, the sleeper looks at them when it wakes
    if (this.#heap.first === undefined) this.#stop()
  }

  /** One sleeper, which never sleeps for too long; one that wakes too early goes to sleep again. */
  #sleep(): void {
    const { first } = this.#heap
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
      for (let slot = this.#heap.first; slot !== undefined && slot.at <= until; slot = this.#heap.first) {
        const { first } = slot
        if (first === undefined) continue
        this.#remove(first, slot)
        first.due()
      }
    } finally {
      this.#isWaking = false
      this.#sleep()
    }
  }

  #remove(entry: Entry, slot: Slot): void {
    slot.remove(entry)
    entry.slot = undefined
    if (slot.first !== undefined) return
    this.#slots.delete(slot.at)
    this.#heap.remove(slot)
  }

  #open(at: number): Slot {
    const slot = new Slot(at)
    this.#slots.set(at, slot)
    this.#heap.add(slot)
    return slot
  }
}
