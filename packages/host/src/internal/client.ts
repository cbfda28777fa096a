/**
 * The host's side of a kept connection, where a framework takes neither a transport nor a client: it initializes, asks, and hears
 * what the server tells.
 */
import { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import type { Deliver } from "./delivery.ts"
import type { Opened } from "./keeper.ts"

/** What it is made of. */
export interface Options {
  /** Opens the connection. */
  readonly open: (deliver: Deliver) => Promise<Pick<Opened, "take">>
  readonly clientInfo: { readonly name: string; readonly version: string }
  /** Takes what the server tells. */
  readonly onNotification: (notification: Message.Notification) => void
}

/** Who waits for an answer. */
interface Waiting {
  readonly resolve: (result: Message.Result) => void
  readonly reject: (error: unknown) => void
}

/** See the module. */
export class Client {
  readonly #options: Options
  readonly #waiting = new Map<Message.Id, Waiting>()
  #opening: Promise<Pick<Opened, "take">> | undefined
  #initializing: Promise<void> | undefined
  #nextId = 0
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Opens the connection, which reaches for the server. Rejects where no connection can be made, and not because it is down. */
  async open(): Promise<void> {
    await (this.#opening ??= this.#options.open((message) => this.#take(message)))
    // What it fails with is told to who asks; each tries anew.
    this.#initialized().catch(() => {})
  }

  /**
   * Asks the server. Rejects with `RpcError`, whose `data` tells what became of it where the error is this library's own; and with
   * the reason of the signal, which cancels the request.
   */
  async request(method: string, params?: Message.Params, signal?: AbortSignal): Promise<Message.Result> {
    signal?.throwIfAborted()
    await abortable(this.#initialized(), signal)
    return this.#ask(method, params, signal)
  }

  /** Nothing is heard from now on: who waits gets an error. */
  close(): void {
    this.#isClosed = true
    for (const { reject } of this.#waiting.values()) reject(over())
    this.#waiting.clear()
  }

  #initialized(): Promise<void> {
    this.#initializing ??= this.#initialize().catch((error: unknown) => {
      this.#initializing = undefined
      throw error
    })
    return this.#initializing
  }

  async #initialize(): Promise<void> {
    const { clientInfo } = this.#options
    const { take } = await this.#connection
    await this.#ask("initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo })
    take({ jsonrpc: "2.0", method: "notifications/initialized" })
  }

  get #connection(): Promise<Pick<Opened, "take">> {
    if (this.#isClosed) return Promise.reject(over())
    return this.#opening ?? Promise.reject(new Error("This connection was not opened yet"))
  }

  async #ask(method: string, params?: Message.Params, signal?: AbortSignal): Promise<Message.Result> {
    const { take } = await this.#connection
    if (this.#isClosed) throw over()
    signal?.throwIfAborted()
    const id = this.#nextId++
    const answer = new Promise<Message.Result>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    take({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) }, { signal })
    return abortable(answer, signal).finally(() => this.#waiting.delete(id))
  }

  #take(message: Message.Message): void {
    if (Message.isAnswer(message)) {
      const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id)
      if ("error" in message) waiting?.reject(new Peer.RpcError(message.error))
      else waiting?.resolve(message.result)
    } else if (Message.isRequest(message)) {
      const error = { code: methodNotFound, message: "Method not found" }
      void this.#connection.then(({ take }) => take({ jsonrpc: "2.0", id: message.id, error })).catch(() => {})
    } else this.#options.onNotification(message)
  }
}

const methodNotFound = -32601

const over = () => new Error("This connection was closed by its host")

/** Rejects with the signal's reason when it aborts first. */
const abortable = <A>(promise: Promise<A>, signal: AbortSignal | undefined): Promise<A> =>
  signal === undefined
    ? promise
    : new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason)
        signal.addEventListener("abort", abort, { once: true })
        void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort))
      })
