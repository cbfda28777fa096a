/**
 * The comments that a server writes on a stream to keep it open, as a sign of life that costs no request: where they have come, three
 * that are missing say that the stream is dead, or the server.
 */

/** How many may be missing. */
const missing = 3

/** The least time between two comments that is counted with, in milliseconds: those that were held up on their way come together. */
const shortest = 1000

/** Who watches a stream. */
export interface Watcher {
  /** Comments came, and now nothing comes any more: called once. */
  readonly onSilence: () => void
}

/** See the module. One for each connection; times are monotonic milliseconds. */
export class Heartbeat {
  readonly #now: () => number
  readonly #watcher: Watcher
  #beat: number
  #heard: number
  /** the longest time between two comments so far, or before the first */
  #period: number | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined

  constructor(now: () => number, watcher: Watcher) {
    this.#now = now
    this.#watcher = watcher
    this.#beat = now()
    this.#heard = this.#beat
  }

  /** Something came. */
  bytes(): void {
    if (this.#timer === undefined) return
    this.#heard = this.#now()
    this.#timer.refresh()
  }

  /** A comment came. */
  comment(): void {
    const now = this.#now()
    const period = Math.max(this.#period ?? shortest, now - this.#beat)
    this.#beat = now
    this.#heard = now
    if (period === this.#period) return
    this.#period = period
    this.#arm()
  }

  /** The connection has ended. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(): void {
    const period = this.#period ?? shortest
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      // What this process was too late to read may have come.
      if (this.#now() - this.#heard > (missing + 1) * period) return this.#again()
      this.stop()
      this.#watcher.onSilence()
    }, missing * period)
  }

  #again(): void {
    this.#heard = this.#now()
    this.#arm()
  }
}
