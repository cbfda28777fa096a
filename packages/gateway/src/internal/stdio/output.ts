/**
 * What a host over stdio is told: a line for each message, within a bound where it does not read.
 */
import type { Writable } from "node:stream"

/** What it is made of. */
export interface Options {
  readonly output: Writable
  /** How many bytes may wait before notifications are dropped. Answers are bounded by what is asked, see `onFull`. */
  readonly most: number
  /** The host does not read: nothing more of what it asks should be read. */
  readonly onFull: () => void
  readonly onDrained: () => void
}

/** See the module. */
export class Output {
  readonly #options: Options
  #isFull = false
  #isOver = false

  constructor(options: Options) {
    this.#options = options
  }

  readonly write = (message: object): void => {
    const { most, onFull, output } = this.#options
    if (this.#isOver || (isNotification(message) && output.writableLength > most)) return
    if (output.write(`${JSON.stringify(message)}\n`) || this.#isFull) return
    this.#isFull = true
    onFull()
    output.once("drain", this.#drained)
  }

  /** Nothing more is written. */
  end(): void {
    this.#isOver = true
    this.#options.output.off("drain", this.#drained)
  }

  readonly #drained = (): void => {
    this.#isFull = false
    this.#options.onDrained()
  }
}

const isNotification = (message: object): boolean => "method" in message && !("id" in message)
