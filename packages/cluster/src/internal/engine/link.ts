/**
 * One end of a connection between two processes: a socket of Node's, and messages. Each end first says which messages it speaks; nothing else is said to one that has not, so that
 * a process of another version, or something else at that address, is never told what is asked.
 */
import * as Predicate from "effect/Predicate"
import type * as Net from "node:net"
import * as Frames from "./frames.ts"

/** Which messages are spoken: one more with each change that a process of the version before would not understand. */
const protocol = 1
const hello = { _tag: "Hello", protocol }
/** How many bytes may come before that is said: the greeting of any version is shorter. */
const mostBefore = 1024

/** What asks for a sign of life, and what that is. Nobody else hears of them. */
const ping = { _tag: "Ping" }
const pong = { _tag: "Pong" }
/** After how many bytes that have come something is said: what asks for a sign of life may stand behind them for long, in a slow network. */
const mostUnanswered = 64 * 1024
/** How many bytes of answers may wait for a peer that reads slowly, before nothing more is read of what it asks: few answers are as long. Short ones take a multiple of their bytes. */
const mostUnread = 16 * 1024 * 1024

/** What another process may do with one. */
export interface Connection {
  /** Hands a message to the socket; false where it is not open, and no byte of it leaves. */
  readonly send: (message: object) => boolean
  /** Ends it at once. */
  readonly end: () => void
  /** Why it has ended, if that is why: the other end is a process of another version, or none. */
  readonly stranger: "other version" | "other" | undefined
}

/** Who hears what comes over one. */
export interface Hearer {
  /** The other end speaks the same: from now on messages may go and come. */
  readonly opened: () => void
  /** It throws nothing. */
  readonly received: (message: unknown) => void
  /** It has ended, or could not be opened: the last that is heard of it. */
  readonly ended: () => void
}

/** See the module. */
export class Link implements Connection {
  readonly #socket: Net.Socket
  readonly #hearer: Hearer
  readonly #reader = new Frames.Reader()
  #state: "before" | "greeting" | "open" | "over" = "before"
  /** how many bytes have come since something was said */
  #unanswered = 0
  stranger: Connection["stranger"]
  /** whether something has come since this was last set */
  isAlive = true
  #patience: number | undefined

  constructor(socket: Net.Socket, hearer: Hearer) {
    this.#socket = socket
    this.#hearer = hearer
    // what it met is told by its end
    socket.on("error", () => {})
    socket.once("close", () => {
      this.#state = "over"
      hearer.ended()
    })
  }

  get isOpen(): boolean {
    return this.#state === "open"
  }

  /** The socket is connected: says which messages it speaks. What comes is read from `read` on. */
  greet(): void {
    // Nagle's algorithm would hold each part of a stream back for a delayed acknowledgement: 80 ms a notification instead of 2
    this.#socket.setNoDelay(true)
    this.#state = "greeting"
    this.#socket.write(Frames.write(hello))
  }

  /**
   * `patience`: nothing more is read of a peer for which too much waits that it does not read; and it is ended where no byte of that leaves for so many
   * milliseconds. For one end only: both could wait for each other.
   */
  read(patience?: number): void {
    this.#patience = patience
    this.#socket.on("data", (part) => this.#read(part))
  }

  /** What the peer says is not read now. */
  get isHeld(): boolean {
    return this.#socket.isPaused()
  }

  send(message: object): boolean {
    if (this.#state !== "open" || !this.#socket.writable) return false
    this.#unanswered = 0
    this.#socket.write(Frames.write(message))
    return true
  }

  end(): void {
    this.#state = "over"
    this.#socket.destroy()
  }

  /** Ends it when all has left that was handed over. */
  endSoon(): void {
    this.#state = "over"
    this.#socket.destroySoon()
  }

  /** Asks for a sign of life. */
  ask(): void {
    this.isAlive = false
    this.send(ping)
  }

  #read(part: Buffer): void {
    this.isAlive = true
    this.#reader.add(part)
    for (let message = this.#next(); message !== undefined; message = this.#next()) {
      if (this.#state === "open") this.#received(message)
      else this.#greeted(message)
    }
    this.#unanswered += part.length
    if (this.#unanswered >= mostUnanswered) this.send(pong)
    if (this.#patience !== undefined && this.#socket.writableLength > mostUnread) this.#hold(this.#patience)
  }

  #hold(patience: number): void {
    const socket = this.#socket
    const giveUp = () => this.end()
    socket.pause()
    // Node's own: over TCP it sees how much of one long answer has left
    socket.setTimeout(patience, giveUp)
    socket.once("drain", () => {
      socket.setTimeout(0, giveUp)
      this.isAlive = true
      socket.resume()
    })
  }

  /** `undefined`: there is none, or nothing is read any more. */
  #next(): unknown {
    if (this.#state === "over") return undefined
    try {
      return this.#reader.next(this.#state === "open" ? Frames.mostBytes : mostBefore)
    } catch {
      // one that has said which messages it speaks is no stranger
      return this.#end(this.#state === "open" ? undefined : "other")
    }
  }

  #greeted(message: unknown): void {
    if (!Predicate.isTagged(message, hello._tag)) return this.#end("other")
    if (Object(message).protocol !== protocol) return this.#end("other version")
    this.#state = "open"
    this.#hearer.opened()
  }

  #received(message: unknown): void {
    if (Predicate.isTagged(message, ping._tag)) this.send(pong)
    else if (!Predicate.isTagged(message, pong._tag)) this.#hearer.received(message)
  }

  #end(stranger: Connection["stranger"]): void {
    this.stranger = stranger
    this.end()
  }
}
