/**
 * How many calls of a backend run at a time, and how many wait for their turn, in order. Backends may share a `Pool` of places
 * beside that.
 */
import { Chain } from "./chain.ts"
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
  /** in the order in which they were admitted */
  readonly number: number
  #step: "waiting" | "running" | "left" = "waiting"
  #startedAt = 0
  #tell: (() => void) | undefined
  /** its neighbours among those that wait */
  before: Place | undefined
  after: Place | undefined

  constructor(limit: Limit, number: number) {
    this.#limit = limit
    this.number = number
  }

  get isRunning(): boolean {
    return this.#step === "running"
  }

  /** whether it waits for nothing but its turn */
  get isReady(): boolean {
    return this.#tell !== undefined
  }

  /** Whether it runs now; if not, it must wait for its turn. */
  start(): boolean {
    if (this.#limit.mayStart(this)) this.#run()
    return this.isRunning
  }

  /** Waits for its turn: when it has come, the call runs and `tell` is called, once. */
  queue(tell: () => void): void {
    this.#tell = tell
    this.#limit.queued()
  }

  /** Waits for something else than its turn now, if it did not run before. */
  unqueue(): void {
    this.#tell = undefined
  }

  /** Does not run yet after all, and keeps its turn. */
  pause(): void {
    if (!this.isRunning) return
    this.#step = "waiting"
    this.#limit.add(this)
    this.#limit.stopped(undefined)
  }

  /** Its call has ended. */
  leave(): void {
    if (this.#step === "left") return
    const { isRunning } = this
    const ranFor = this.#limit.now() - this.#startedAt
    this.#tell = undefined
    this.#step = "left"
    if (!isRunning) this.#limit.remove(this)
    this.#limit.left()
    if (isRunning) this.#limit.stopped(ranFor)
    else this.#limit.next()
  }

  /** Its turn has come. */
  grant(): void {
    const tell = this.#tell
    this.#tell = undefined
    this.#run()
    tell?.()
  }

  #run(): void {
    this.#limit.remove(this)
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
  #numbers = 0
  /** of those that wait, for their turn or for a session, the one that was admitted first */
  readonly #inOrder = new Chain<Place>()
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
    this.next()
  }

  // ----------------------------------------------------------------------------------------------------- who comes

  /** Whether a call that came now would be one too many. */
  get isFull(): boolean {
    if (this.#admitted >= this.#mostRunning + this.#bounds.queue) return true
    const mayStart = this.#inOrder.first === undefined && this.#hasRoom
    return this.#pool !== undefined && !mayStart && !this.#pool.mayWait(this.#waiting)
  }

  /** Admits a call, unless it is one too many. */
  enter(): Place | undefined {
    if (this.isFull) return undefined
    this.#admitted++
    if (this.#pool !== undefined) this.#pool.waiting++
    const place = new Place(this, this.#numbers++)
    this.add(place)
    return place
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

  /** Whether a call waits for its turn. */
  get isAwaited(): boolean {
    return this.#inOrder.first?.isReady === true
  }

  /**
   * Whether a call may run now. None overtakes another one that was admitted before, which waits for the same session, or is just
   * about to run.
   */
  mayStart(place: Place): boolean {
    return place === this.#inOrder.first && this.#hasRoom
  }

  get #hasRoom(): boolean {
    return this.#running < this.#bounds.maxConcurrent && (this.#pool === undefined || this.#pool.mayRun(this.#running))
  }

  /** The call that has waited longest runs now, if it may. */
  grant(): boolean {
    const first = this.#inOrder.first
    if (first?.isReady !== true || !this.#hasRoom) return false
    first.grant()
    return true
  }

  /** Whoever may run now does. */
  next(): void {
    if (this.#pool !== undefined) {
      this.queued()
      return this.#pool.next()
    }
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

  /** It waits, behind those that were admitted before. */
  add(place: Place): void {
    let before = this.#inOrder.last
    while (before !== undefined && before.number > place.number) before = before.before
    this.#inOrder.addBehind(before, place)
  }

  /** One that waits is ready now, or is the first now. */
  queued(): void {
    if (this.isAwaited) this.#pool?.add(this)
  }

  remove(place: Place): void {
    this.#inOrder.remove(place)
    if (!this.isAwaited) this.#pool?.delete(this)
  }

  started(): void {
    if (this.#running === 0) this.#movedAt = this.now()
    this.#running++
    if (this.#pool !== undefined) {
      this.#pool.running++
      this.#pool.waiting--
    }
    if (!this.isAwaited) return
    // the next one may have been ready before it; it runs after it, or when others give a place back
    this.queued()
    if (this.#hasRoom) queueMicrotask(() => this.next())
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
    this.next()
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
