/**
 * The comments that a server writes on a stream to keep it open, as a sign of life that costs no request: where they have come, three
 * that are missing say that the stream is dead, or the server.
 */

/** How many may be missing. */
const missing = 3

/** The least time between two comments that is counted with, in milliseconds: those that were held up on their way come together. */
const shortest = 1000

/** A comment that comes so soon after the opening begins the stream, as `: connected` does, and says nothing of a next one; in milliseconds. */
const beginning = 50

/** What is known of the server of a session. */
export interface Server {
  /** monotonic milliseconds */
  readonly now: () => number
  /** whether it has written a single comment on a stream before: then the next one tells no more than that */
  writesOneComment: boolean
}

/** Who watches a stream. */
export interface Watcher {
  /** Comments came, and now nothing comes any more: called once. */
  readonly onSilence: () => void
}

/** See the module. One for each connection. */
export class Heartbeat {
  readonly #server: Server
  readonly #watcher: Watcher
  /** when the last comment came; before the first, when the stream began */
  #beat: number
  #heard: number
  #comments = 0
  /** the longest time between two comments so far, or before the first */
  #period: number | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #isOver = false

  constructor(server: Server, watcher: Watcher) {
    this.#server = server
    this.#watcher = watcher
    this.#beat = server.now()
    this.#heard = this.#beat
  }

  /** Something came. */
  bytes(): void {
    if (this.#timer === undefined) return
    const now = this.#server.now()
    // this process did not run, or the timer would have come: what passed is no time between two comments
    if (now - this.#heard > missing * (this.#period ?? shortest)) this.#beat = now
    this.#heard = now
    this.#timer.refresh()
  }

  /** A comment came. */
  comment(): void {
    // the connection may have ended with what came before it in the same chunk
    if (this.#isOver) return
    const now = this.#server.now()
    const since = now - this.#beat
    this.#beat = now
    this.#heard = now
    if (this.#period === undefined && since < beginning) return
    if (++this.#comments === 1 && this.#server.writesOneComment) return
    const period = Math.max(this.#period ?? shortest, since)
    if (period === this.#period) return
    this.#period = period
    this.#arm()
  }

  /** The connection has ended. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(): void {
    const period = this.#period ?? shortest
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      // What this process was too late to read may have come.
      if (this.#server.now() - this.#heard > (missing + 1) * period) return this.#again()
      this.stop()
      if (this.#comments === 1) this.#server.writesOneComment = true
      this.#watcher.onSilence()
    }, missing * period)
  }

  #again(): void {
    this.#heard = this.#server.now()
    this.#beat = this.#heard
    this.#arm()
  }
}
