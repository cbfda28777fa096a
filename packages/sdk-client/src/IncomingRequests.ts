/**
 * The requests of a server's that are in hand: delivered to the client, and not answered yet. A server that asks without an end,
 * and takes no answers, would otherwise fill this process with both.
 */
import type { Id } from "./Message.ts"

/**
 * How many there may be.
 *
 * @since 0.1.0
 */
export interface Options {
  /** requests that are not answered yet */
  readonly inHand: number
  /** bytes of all of them together: a handler holds the parameters as long as it works on them. Default: no bound */
  readonly bytes?: number | undefined
  /** requests within a second: so many may come at once, and as many in each second that follows */
  readonly perSecond: number
  /**
   * How long one counts that the server has cancelled, in milliseconds: its client answers no more, and nobody knows whether
   * a handler still works on it. Default: 10 s
   */
  readonly cancelledFor?: number | undefined
  /** monotonic time in milliseconds */
  readonly now: () => number
}

/**
 * Which of its bounds they exceed.
 *
 * @since 0.1.0
 */
export type Excess = "inHand" | "bytes" | "perSecond"

/**
 * See the module. One for each session.
 *
 * @since 0.1.0
 */
export class IncomingRequests {
  readonly #options: Options & { readonly bytes: number; readonly cancelledFor: number }
  /** the sizes of those with one id: a server that uses one twice does not hide one behind the other */
  #sizes: Map<Id, Array<number>> | undefined = undefined
  /** the oldest first */
  readonly #cancelled: Array<{ readonly until: number; readonly bytes: number }> = []
  #size = 0
  #bytes = 0
  #second = Number.NEGATIVE_INFINITY
  #count = 0

  constructor(options: Options) {
    const { bytes = Infinity, cancelledFor = 10_000 } = options
    this.#options = { ...options, bytes, cancelledFor }
  }

  /** How many there are. */
  get size(): number {
    return this.#size
  }

  /** How many bytes they have together. */
  get bytes(): number {
    return this.#bytes
  }

  /** One has come, of so many bytes; which bound it exceeds, where it is one too many: then the session is to end. */
  received(id: Id, bytes = 0): Excess | undefined {
    const now = this.#options.now()
    this.#forgetCancelled(now)
    if (now - this.#second >= 1000) {
      this.#second = now
      this.#count = 0
    }
    const all = (this.#sizes ??= new Map())
    const sizes = all.get(id)
    if (sizes === undefined) all.set(id, [bytes])
    else sizes.push(bytes)
    this.#size++
    this.#bytes += bytes
    this.#count++
    if (this.#count > this.#options.perSecond) return "perSecond"
    if (this.#size > this.#options.inHand) return "inHand"
    return this.#bytes > this.#options.bytes ? "bytes" : undefined
  }

  /** The client has answered it. */
  answered(id: Id): void {
    const bytes = this.#take(id)
    if (bytes !== undefined) this.#gone(bytes)
  }

  /** The server has cancelled it. */
  cancelled(id: Id): void {
    const bytes = this.#take(id)
    if (bytes !== undefined) this.#cancelled.push({ until: this.#options.now() + this.#options.cancelledFor, bytes })
  }

  #take(id: Id): number | undefined {
    const sizes = this.#sizes?.get(id)
    const bytes = sizes?.shift()
    if (sizes?.length === 0) this.#sizes?.delete(id)
    return bytes
  }

  #forgetCancelled(now: number): void {
    for (let [oldest] = this.#cancelled; oldest !== undefined && oldest.until <= now; [oldest] = this.#cancelled) {
      this.#cancelled.shift()
      this.#gone(oldest.bytes)
    }
  }

  #gone(bytes: number): void {
    this.#size--
    this.#bytes -= bytes
  }
}
