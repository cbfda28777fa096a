/**
 * What a client is connected to: the `Transport` of the MCP SDKs, in structure only, so that the clients of both major versions
 * and others take it. Everything passes through the session's {@link Requests}.
 */
import { Evidence, type Lists } from "@vmcp-keepalive/core"
import * as Messages from "./Message.ts"
import type { Message } from "./Message.ts"
import { type About, Requests, type SendOptions, type Wire } from "./Requests.ts"
import { Subscriptions } from "./Subscriptions.ts"

/**
 * What the transport is made of.
 *
 * @since 0.1.0
 */
export interface Options extends Omit<Wire, "deliver"> {
  /** those of the `SessionHost` */
  readonly subscriptions: Set<string>
  /** that of the `SessionHost`: is told of `list_changed`, of which the client hears all the same */
  readonly listChanged?: ((kind: Lists.Kind) => void) | undefined
  /** the session's id, where the server gave one */
  readonly sessionId?: (() => string | undefined) | undefined
  /**
   * Whether each request has a stream of its own, which is closed where nobody waits for the answer any more (HTTP): in the modern
   * era that is how a request is cancelled, and no message is sent. Default: false, one is cancelled by a message.
   */
  readonly hasPerRequestStream?: boolean | undefined
  /** takes the protocol version that was agreed on */
  readonly setProtocolVersion?: ((version: string) => void) | undefined
  /** the client has closed it, or is told that it is closed: called once */
  readonly closed: () => void
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class ClientTransport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  // The SDKs type the messages of their own version, each with its schema.
  // oxlint-disable-next-line typescript/no-explicit-any -- a structural type that both of theirs are assignable to and from
  declare onmessage?: (message: any, extra?: any) => void

  readonly requests: Requests
  readonly subscriptions = new Subscriptions()
  /** whether the end of its own stream cancels a request of the modern era: that of the options */
  readonly cancelsByStream: boolean
  /**
   * What SDK 2.x reads of a transport: never, so that it cancels by a message in both eras. With `true` it makes an `AbortController` for
   * each request, which costs as much as all that is done here for it.
   */
  readonly hasPerRequestStream: boolean = false
  readonly #options: Options
  #closed = false

  constructor(options: Options) {
    this.#options = options
    this.cancelsByStream = options.hasPerRequestStream ?? false
    this.requests = new Requests(options.subscriptions, {
      request: (message, pending, sending) => {
        if (this.cancelsByStream && pending.modern) pending.silent = true
        options.request(message, pending, sending)
      },
      transmit: options.transmit,
      deliver: (message, about) => this.deliver(message, about)
    })
  }

  get sessionId(): string | undefined {
    return this.#options.sessionId?.()
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  send(message: Message, options?: SendOptions): Promise<void> {
    // Where all share one stream a cancellation is a message, which must find its request.
    const isShared = options?.requestSignal !== undefined && !this.cancelsByStream
    return this.requests.send(message, isShared ? { ...options, requestSignal: undefined } : options)
  }

  setProtocolVersion(version: string): void {
    this.requests.agreed(version)
    this.#options.setProtocolVersion?.(version)
  }

  /** Hands a message to the client, unless it is closed. */
  deliver(message: Message, about?: About): void {
    if (this.#closed) return
    this.subscriptions.told(message)
    const heard = this.subscriptions.take(message, about?.relatedRequestId)
    if (heard === undefined) return
    const changed = Messages.listChanged(heard)
    if (changed !== undefined) this.#options.listChanged?.(changed)
    this.onmessage?.(heard, heard === message ? about : undefined)
  }

  /** The client hears no more, and whoever waits for an answer gets its error from it. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    this.#options.closed()
    try {
      this.onclose?.()
    } catch (error) {
      // SDK 1.x tells the user first, and then whoever waits: a handler that throws would keep them waiting for ever
      const { requests } = this
      for (const pending of [...requests.pending.values()])
        requests.fail(pending, pending.record.evidence ?? Evidence.transportFailure("closed"), ended)
      return Promise.reject(error)
    }
    return Promise.resolve()
  }
}

const ended = new Error("The session has ended")
