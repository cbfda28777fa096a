/**
 * What is written to a child: at once while its pipe takes it, and else in order and within bounds, for a child that does not
 * read must not fill this process.
 */
import { Buffer } from "node:buffer"

/** A message to be written. */
export interface Outgoing {
  readonly text: string
  /** whether it answers a request of the server's */
  readonly isAnswer: boolean
  /** its turn has come: from now on it may reach the child */
  readonly taken: () => void
}

/** What is written to. */
export interface Pipe {
  /** Takes it in any case; false where it is full then, until {@link Outbox.drained} is called. */
  readonly write: (text: string) => boolean
  readonly end: () => void
}

/** A message that waits for its turn. */
export interface Waiting {
  /** resolves when its turn has come, or will not */
  readonly turn: Promise<void>
  /** nobody needs it any more: it is kept no longer */
  readonly drop: () => void
}

/** Of a message that waits no more: its turn has come already, or never will. */
export const passed: Waiting = { turn: Promise.resolve(), drop: () => {} }

interface Entry extends Outgoing {
  readonly size: number
  readonly leave: () => void
}

/** See the module. One for each child. */
export class Outbox {
  readonly #bound: number
  readonly #entries = new Set<Entry>()
  #pipe: Pipe | undefined = undefined
  #full = true
  #bytes = 0
  #answers = 0
  #state: "open" | "ending" | "closed" = "open"

  /** `bound`: of all messages that wait, in bytes; a single one may be longer */
  constructor(bound: number) {
    this.#bound = bound
  }

  /** How many of the messages that wait are answers to requests of the server's. */
  get answers(): number {
    return this.#answers
  }

  /** There is a pipe to write to. */
  open(pipe: Pipe): void {
    this.#pipe = pipe
    this.drained()
  }

  /** Writes a message, or adds it behind the others; `undefined` where too much would wait: then it does not. */
  add(outgoing: Outgoing): Waiting | undefined {
    if (this.#state !== "open") return passed
    if (!this.#full) {
      this.#write(outgoing)
      return passed
    }
    const size = Buffer.byteLength(outgoing.text)
    if (this.#entries.size > 0 && this.#bytes + size > this.#bound) return undefined
    let leave = () => {}
    const turn = new Promise<void>((resolve) => (leave = resolve))
    const entry = { ...outgoing, size, leave }
    this.#entries.add(entry)
    this.#bytes += size
    if (entry.isAnswer) this.#answers++
    return { turn, drop: () => this.#remove(entry) }
  }

  /** The pipe takes more. */
  drained(): void {
    if (this.#state === "closed") return
    this.#full = false
    for (const entry of this.#entries) {
      if (this.#full) return
      this.#remove(entry)
      this.#write(entry)
    }
    if (this.#state === "ending") this.#endPipe()
  }

  /** No more is added; what waits is still written, and then the pipe ends. */
  end(): void {
    if (this.#state !== "open") return
    this.#state = "ending"
    if (this.#entries.size === 0) this.#endPipe()
  }

  /** Nothing more is written: the child cannot be reached, or is to get no more. */
  close(): void {
    this.#state = "closed"
    for (const entry of this.#entries) this.#remove(entry)
    this.#endPipe()
  }

  #write({ taken, text }: Outgoing): void {
    taken()
    this.#full = this.#pipe?.write(text) === false
  }

  #endPipe(): void {
    this.#pipe?.end()
    this.#pipe = undefined
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry)) return
    this.#bytes -= entry.size
    if (entry.isAnswer) this.#answers--
    entry.leave()
  }
}
