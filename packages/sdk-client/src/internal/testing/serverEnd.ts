/**
 * The user's server at its end of a session, made when the first message reaches it.
 */
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"

/** A server of `@modelcontextprotocol/sdk` 1.x: an `McpServer` or a `Server`. */
export interface Server {
  readonly connect: (transport: Transport) => Promise<void>
  readonly close: () => Promise<void>
}

/** What it is made of. */
export interface Options {
  readonly make: () => Server | Promise<Server>
  readonly sessionId: string
  /** the server says something, as JSON */
  readonly said: (json: string) => void
  /** the server has closed its end by itself */
  readonly closed: () => void
}

/** See the module. */
export class ServerEnd implements Transport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  declare onmessage?: <M extends JSONRPCMessage>(message: M) => void
  readonly sessionId: string
  readonly #options: Options
  #server: Server | undefined = undefined
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
    this.sessionId = options.sessionId
  }

  /** whether it has been closed, by whomever */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Makes the server and connects it; rejects with what the user's code throws. */
  async begin(): Promise<void> {
    const server = await this.#options.make()
    // it may have been killed meanwhile
    if (this.#isClosed) return
    this.#server = server
    await server.connect(this)
  }

  /** Hands the server a message that was written as JSON. */
  receive(json: string): void {
    if (!this.#isClosed) this.onmessage?.(JSON.parse(json))
  }

  /** The server is told that the session has ended. Its handlers' signals are aborted. */
  async end(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.onclose?.()
    await this.#server?.close()
  }

  // --------------------------------------------------------------------------------------- what the server calls

  start(): Promise<void> {
    return Promise.resolve()
  }

  send(message: JSONRPCMessage): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error("Not connected"))
    this.#options.said(JSON.stringify(message))
    return Promise.resolve()
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#isClosed = true
    this.onclose?.()
    this.#options.closed()
    return Promise.resolve()
  }
}
