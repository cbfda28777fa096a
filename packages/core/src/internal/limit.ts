/**
 * How many calls of a backend run at a time, and how many wait for their turn, in order. Backends may share a `Pool` of places
 * beside that.
 */
import type { Pool } from "./pool.ts"

/** Of one backend. */
export interface Bounds {
  /** calls that run at a time; infinite where only those of all backends together are limited */
  readonly maxConcurrent: number
  /** calls that are admitted beyond those that run, to wait for their turn or for a session */
  readonly queue: number
}

/** A call that was admitted, until it leaves. */
export class Place {
  readonly #limit: Limit
  #step: "admitted" | "queued" | "running" | "left" = "admitted"
  #startedAt = 0
  #tell: (() => void) | undefined
  /** its neighbours in the queue */
  before: Place | undefined
  after: Place | undefined

  constructor(limit: Limit) {
    this.#limit = limit
  }

  get isRunning(): boolean {
    return this.#step === "running"
  }

  /** Whether it runs now; if not, it must wait. */
  start(): boolean {
    if (this.#limit.mayStart) this.run()
    return this.isRunning
  }

  /** Waits for its turn, behind all others: when it has come, the call runs and `tell` is called, once. */
  queue(tell: () => void): void {
    this.#step = "queued"
    this.#tell = tell
    this.#limit.add(this)
  }

  /** Waits no longer, if it did. */
  unqueue(): void {
    if (this.#step !== "queued") return
    this.#step = "admitted"
    this.#tell = undefined
    this.#limit.remove(this)
  }

  /** Lets others run in its stead; it is still admitted. */
  pause(): void {
    if (this.#step !== "running") return
    this.#step = "admitted"
    this.#limit.stopped(undefined)
  }

  /** Its call has ended. */
  leave(): void {
    if (this.#step === "left") return
    this.unqueue()
    const ranFor = this.isRunning ? this.#limit.now() - this.#startedAt : undefined
    const isRunning = this.isRunning
    this.#step = "left"
    this.#limit.left()
    if (isRunning) this.#limit.stopped(ranFor)
  }

  /** Its turn has come. */
  grant(): void {
    const tell = this.#tell
    this.unqueue()
    this.run()
    tell?.()
  }

  run(): void {
    this.#step = "running"
    this.#startedAt = this.#limit.now()
    this.#limit.started()
  }
}

/** See the module. */
export class Limit {
  readonly now: () => number
  readonly #pool: Pool | undefined
  #bounds: Bounds
  #admitted = 0
  #running = 0
  #first: Place | undefined
  #last: Place | undefined
  #isGranting = false
  /** how long calls run, smoothed, in milliseconds; `undefined` until one has ended */
  #duration: number | undefined
  /** when a call ended last, or the only one began */
  #movedAt = 0

  /** `now`: monotonic milliseconds */
  constructor(bounds: Bounds, pool: Pool | undefined, now: () => number) {
    this.#bounds = bounds
    this.#pool = pool
    this.now = now
  }

  /** Other bounds from now on: what runs goes on, and nobody who waits is sent away. Calls that came before there were any are not counted. */
  rebound(bounds: Bounds): void {
    this.#bounds = bounds
    this.#next()
  }

  // ----------------------------------------------------------------------------------------------------- who comes

  /** Whether a call that came now would be one too many. */
  get isFull(): boolean {
    if (this.#admitted >= this.#mostRunning + this.#bounds.queue) return true
    return this.#pool !== undefined && !this.mayStart && !this.#pool.mayWait(this.#waiting)
  }

  /** Admits a call, unless it is one too many. */
  enter(): Place | undefined {
    if (this.isFull) return undefined
    this.#admitted++
    if (this.#pool !== undefined) this.#pool.waiting++
    return new Place(this)
  }

  /**
   * When one that was too many may come again, in milliseconds: when those that wait now have had their turn, at the pace at which
   * calls end. Where none ends any more, not before as long again as none has ended.
   */
  get retryAfter(): number {
    const duration = this.#duration ?? unknownDuration
    if (this.#running === 0) return ((this.#waiting + 1) * duration) / this.#mostRunning
    return Math.max(((this.#waiting + 1) * duration) / this.#running, this.now() - this.#movedAt)
  }

  get #mostRunning(): number {
    return Math.min(this.#bounds.maxConcurrent, this.#pool?.maxConcurrent ?? Number.POSITIVE_INFINITY)
  }

  /** for its turn, or for a session */
  get #waiting(): number {
    return this.#admitted - this.#running
  }

  // --------------------------------------------------------------------------------------------------- whose turn it is

  get isAwaited(): boolean {
    return this.#first !== undefined
  }

  /** Whether a call that is admitted may run now, without waiting. */
  get mayStart(): boolean {
    return this.#first === undefined && this.#hasRoom
  }

  get #hasRoom(): boolean {
    return this.#running < this.#bounds.maxConcurrent && (this.#pool === undefined || this.#pool.mayRun(this.#running))
  }

  /** The call that has waited longest runs now, if it may. */
  grant(): boolean {
    const first = this.#first
    if (first === undefined || !this.#hasRoom) return false
    first.grant()
    return true
  }

  #next(): void {
    if (this.#pool !== undefined) return this.#pool.next()
    // what runs now may end at once: the loop goes on, and not one call within the other
    if (this.#isGranting) return
    this.#isGranting = true
    try {
      while (this.grant());
    } finally {
      this.#isGranting = false
    }
  }

  // ------------------------------------------------------------------------------------------------- what places report

  add(place: Place): void {
    place.before = this.#last
    if (this.#last === undefined) this.#first = place
    else this.#last.after = place
    this.#last = place
    this.#pool?.add(this)
  }

  remove(place: Place): void {
    if (place.before === undefined) this.#first = place.after
    else place.before.after = place.after
    if (place.after === undefined) this.#last = place.before
    else place.after.before = place.before
    place.before = undefined
    place.after = undefined
    if (this.#first === undefined) this.#pool?.delete(this)
  }

  started(): void {
    if (this.#running === 0) this.#movedAt = this.now()
    this.#running++
    if (this.#pool === undefined) return
    this.#pool.running++
    this.#pool.waiting--
  }

  /** `ranFor`: where it has ended, how long it ran */
  stopped(ranFor: number | undefined): void {
    this.#running--
    if (this.#pool !== undefined) {
      this.#pool.running--
      this.#pool.waiting++
    }
    if (ranFor !== undefined) {
      this.#movedAt = this.now()
      this.#duration = this.#duration === undefined ? ranFor : this.#duration + (ranFor - this.#duration) / smoothing
    }
    this.#next()
  }

  left(): void {
    this.#admitted--
    if (this.#pool !== undefined) this.#pool.waiting--
  }
}

/** how long a call is thought to run before any has ended, in milliseconds */
const unknownDuration = 1000

/** a new duration counts for an eighth, as a round trip does in TCP (RFC 6298) */
const smoothing = 8
