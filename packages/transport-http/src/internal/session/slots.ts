/**
 * How many of a kind may be under way at once; the others wait, in the order in which they came.
 */

/** One that needs a slot. */
export interface Waiter {
  /** whether it has one: written here */
  hasSlot: boolean
  /** It has one. */
  readonly begin: () => void
  /** It gets none. */
  readonly dismissed: () => void
}

/** See the module. */
export class Slots {
  readonly #most: number
  #taken = 0
  /** made when somebody has to wait: a session that idles holds nothing for it */
  #waiting: Set<Waiter> | undefined = undefined
  #isScheduled = false

  constructor(most: number) {
    this.#most = most
  }

  /** It begins at once or when its turn comes, unless it is dismissed or leaves before. */
  take(waiter: Waiter): void {
    if (this.#taken < this.#most && this.#queued === 0) return this.#begin(waiter)
    this.#waiting ??= new Set()
    this.#waiting.add(waiter)
  }

  /** Gives the slot back, or the place in the queue. */
  leave(waiter: Waiter): void {
    if (!waiter.hasSlot) return void this.#waiting?.delete(waiter)
    waiter.hasSlot = false
    this.#taken--
    this.#schedule()
  }

  /** Whoever waits would wait in vain. */
  dismiss(): void {
    const all = this.#waiting
    this.#waiting = undefined
    for (const waiter of all ?? []) waiter.dismissed()
  }

  get #queued(): number {
    return this.#waiting?.size ?? 0
  }

  #begin(waiter: Waiter): void {
    waiter.hasSlot = true
    this.#taken++
    waiter.begin()
  }

  /**
   * Those that wait begin in a turn of their own: whoever gives up many at once gives up those in the queue as well, and none of
   * them is sent for nothing.
   */
  #schedule(): void {
    if (this.#isScheduled || this.#queued === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      for (const waiter of this.#waiting ?? []) {
        if (this.#taken >= this.#most) return
        this.#waiting?.delete(waiter)
        this.#begin(waiter)
      }
    })
  }
}
