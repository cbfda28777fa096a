/**
 * One transport of a host's, joined to a kept connection, where the host believes that a server is at its other end.
 *
 * A server of the SDK answers each `initialize`, also a second one on the same transport, and hosts rely on that: one that was not
 * answered in time is followed by another. The same words get the same answer here; other words get a connection of their own, in
 * the place of the one before.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { About, Deliver } from "./delivery.ts"
import type { Opened } from "./keeper.ts"

/** What it is made of. */
export interface Options {
  /** Opens a connection. */
  readonly open: (deliver: Deliver) => Promise<Pick<Opened, "take" | "close">>
  /** Sends to the host. */
  readonly send: Deliver
}

/** An `initialize` that was passed on. */
interface Handshake {
  readonly id: Message.Id
  readonly words: string
  /** further ones with the same words, which wait for the same answer */
  readonly waiting: Array<Message.Id>
  result: Message.Result | undefined
}

/** Why is told by {@link Joint.opened}. */
const noConnection = { code: -32603, message: "Internal error: no connection can be made" }

/** See the module. */
export class Joint {
  readonly #options: Options
  #connection: Promise<Pick<Opened, "take" | "close">>
  #handshake: Handshake | undefined

  constructor(options: Options) {
    this.#options = options
    this.#connection = this.#open()
  }

  /** Rejects where the connection cannot be made. */
  async opened(): Promise<void> {
    await this.#connection
  }

  /** Takes a message of the host's, in order, also before the connection is open. */
  take(value: unknown): void {
    const message = Message.of(value)
    if (message === undefined || !Message.isRequest(message) || message.method !== "initialize") this.#pass(value)
    else this.#initialize(message)
  }

  #initialize(message: Message.Request): void {
    const { id } = message
    const words = JSON.stringify(message.params)
    const before = this.#handshake
    if (before?.words === words) {
      if (before.result === undefined) before.waiting.push(id)
      else this.#options.send({ jsonrpc: "2.0", id, result: before.result }, {})
      return
    }
    if (before !== undefined) {
      this.#connection.then(({ close }) => close()).catch(() => {})
      this.#connection = this.#open()
    }
    this.#handshake = { id, words, waiting: [], result: undefined }
    this.#pass(message)
  }

  #pass(message: unknown): void {
    this.#connection.then(
      ({ take }) => take(message),
      () => {
        if (Message.isObject(message) && Message.isId(message["id"]) && "method" in message)
          this.#options.send({ jsonrpc: "2.0", id: message["id"], error: noConnection }, {})
      }
    )
  }

  #open(): Promise<Pick<Opened, "take" | "close">> {
    const connection: Promise<Pick<Opened, "take" | "close">> = this.#options.open((message, about) => {
      // what one says that was replaced is meant for nobody
      if (this.#connection === connection) this.#deliver(message, about)
    })
    return connection
  }

  #deliver(message: Message.Message, about: About): void {
    const handshake = this.#handshake
    if (handshake !== undefined && Message.isAnswer(message) && message.id === handshake.id) {
      if ("result" in message) handshake.result = message.result
      else this.#handshake = undefined
      for (const id of handshake.waiting.splice(0)) this.#options.send({ ...message, id }, {})
    }
    this.#options.send(message, about)
  }
}
