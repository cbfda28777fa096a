/**
 * A client without an SDK: JSON-RPC messages as they are, in order. For gateways and middleware that hand the messages of others
 * on, and for transports, of which it is all that they need of a client.
 */
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { ClientKind } from "./ClientKind.ts"
import type { ClientTransport } from "./ClientTransport.ts"
import * as View from "./internal/view.ts"
import type * as Message from "./Message.ts"
import type { About, Question, Requests } from "./Requests.ts"

/**
 * One end of a session.
 *
 * @since 0.1.0
 */
export interface Peer {
  /** Shakes hands over a transport; once. */
  readonly connect: (transport: ClientTransport) => Promise<void>
  /**
   * Asks the server something. Rejects with {@link RpcError} where it answers with an error, and with another `Error` where no
   * answer came. An abort of the signal sends `notifications/cancelled` and rejects with the signal's reason. No timeout.
   */
  readonly request: (request: Question, options?: RequestOptions) => Promise<Message.Result>
  /** Tells the server something. */
  readonly notification: (notification: Question) => Promise<void>
  /** Answers a request of the server's. */
  readonly answer: (answer: Message.Answer) => Promise<void>
  /**
   * Hears what the server tells from now on, beside who else does, until what it returns is called or the session is over. For who did
   * not make the peer. Requests are not heard: they have one answer, which is the maker's ({@link Options.onMessage}).
   */
  readonly listen: (listener: Listener) => () => void
  /** Ends it: what is under way rejects. */
  readonly close: () => Promise<void>
  /** what the server said of itself; `undefined` before the handshake is done */
  readonly server: Server | undefined
  /** what the server can do; `undefined` before the handshake is done */
  readonly capabilities: { readonly [name: string]: unknown } | undefined
}

/**
 * Who hears what a server tells.
 *
 * @since 0.1.0
 */
export interface Listener {
  /** Takes every notification of the server's, in order, with the request on whose answer stream it came (HTTP only). */
  readonly onNotification: (notification: Message.Notification, about: About) => void
  /** the session is over: nothing more comes */
  readonly onClose?: (() => void) | undefined
}

/**
 * What {@link Peer.request} takes beside the request.
 *
 * @since 0.1.0
 */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * The id of the request on the wire, by which what the server sends while it works on it can be recognized. It must be larger
   * than those before it in this session. Default: the next number.
   */
  readonly id?: number | undefined
  /** Is told the id that the request has on the wire, before it is sent: for who shares the session with others. */
  readonly onId?: ((id: number) => void) | undefined
  /**
   * Is told that the answer has come, before any message that came after it is handed on. (What `request` returns resolves some
   * microtasks later.)
   */
  readonly onAnswer?: (() => void) | undefined
}

/**
 * The result of `initialize`.
 *
 * @since 0.1.0
 */
export type Server = Message.Result & {
  readonly protocolVersion: string
  readonly capabilities: { readonly [name: string]: unknown }
}

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /**
   * The parameters of `initialize`: those of a host whose messages are handed on, or one's own. Default: the newest version with a
   * session (2025-11-25), and no capabilities.
   */
  readonly initialize?: Message.Params | undefined
  /**
   * Takes every request and notification of the server's, in order, with the request on whose answer stream it came
   * (`relatedRequestId`; HTTP only). Requests are to be answered through {@link Peer.answer}. Default: `ping` is answered,
   * other requests with -32601.
   */
  readonly onMessage?: ((message: Message.Request | Message.Notification, about: About, peer: Peer) => void) | undefined
  /** the session is over: nothing more comes */
  readonly onClose?: ((peer: Peer) => void) | undefined
}

/**
 * The server answered a request with an error.
 *
 * @since 0.1.0
 */
export class RpcError extends Error {
  override readonly name = "RpcError"
  readonly code: number
  readonly data: unknown

  constructor({ code, data, message }: Message.ErrorAnswer["error"]) {
    super(message)
    this.code = code
    this.data = data
  }
}

/**
 * Whether it is one, also of another copy of this package that the process has loaded.
 *
 * @since 0.1.0
 */
export const isRpcError = (value: unknown): value is RpcError =>
  value instanceof Error && value.name === "RpcError" && "code" in value && typeof value.code === "number"

/**
 * A peer that has not been connected yet.
 *
 * @since 0.1.0
 */
export const make = (options: Options = {}): Peer => new RawPeer(options)

/**
 * Makes the peers of connectors that were given no `peer` of their own: provided by a host that joins its own connection to what
 * they say, such as a gateway. Default: {@link make}, without capabilities.
 *
 * @since 0.1.0
 */
export const Factory: Context.Reference<(() => Peer) | undefined> = Context.Reference(
  "@vmcp-keepalive/sdk-client/Peer/Factory",
  { defaultValue: (): (() => Peer) | undefined => undefined }
)

/**
 * Peers, each made by `create`, or by the {@link Factory} where that is left out. Where there are both it is an issue: whoever
 * provided the factory would hear nothing.
 *
 * @since 0.1.0
 */
export const kind = (create?: () => Peer): ClientKind<Peer> => ({
  issues: Factory.useSync((factory) => (create === undefined || factory === undefined ? [] : [twoMakers])),
  make: create === undefined ? Factory.useSync((factory) => (factory ?? make)()) : Effect.sync(create),
  connect: (peer, transport) => peer.connect(transport),
  close: (peer) => peer.close(),
  capabilities: (peer) => peer.capabilities,
  call
})

/**
 * Begins a call: what `Session.call` of the port returns.
 *
 * @since 0.1.0
 */
export const call = (requests: Requests, peer: Peer, traceparent?: string): Connector.Call<Peer> =>
  View.call(requests, peer, traceparent, (recording) => {
    const request: Peer["request"] = (asked, options) => recording(asked, (tracked) => peer.request(tracked, options))
    return (property) => (property === "request" ? request : undefined)
  })

const twoMakers: BackendError.ConfigurationIssue = {
  path: ["connector", "peer"],
  expected: "nothing, where a host's own handshake is handed on"
}

const newest = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "vmcp-keepalive", version: "0.1.0" }
}

const methodNotFound = -32601

/** Who waits for an answer. */
interface Waiting {
  readonly onAnswer: (() => void) | undefined
  readonly resolve: (result: Message.Result) => void
  readonly reject: (error: unknown) => void
}

class RawPeer implements Peer {
  server: Server | undefined = undefined
  readonly #options: Options
  readonly #waiting = new Map<Message.Id, Waiting>()
  // made for the first that listens
  #listeners: Set<Listener> | undefined
  #transport: ClientTransport | undefined = undefined
  #nextId = 0
  #closed = false

  constructor(options: Options) {
    this.#options = options
  }

  get capabilities(): Server["capabilities"] | undefined {
    return this.server?.capabilities
  }

  // Bound, since the view of a call hands them on.
  readonly connect: Peer["connect"] = async (transport) => {
    if (this.#transport !== undefined) throw new Error("A peer connects once")
    this.#transport = transport
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the transport is no EventTarget
    transport.onclose = () => this.#end()
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- as above
    transport.onmessage = (message: Message.Message, about: About = {}) => this.#take(message, about)
    await transport.start()
    const server = await this.request({ method: "initialize", params: this.#options.initialize ?? newest })
    if (!isServer(server)) throw new Error("The server's answer to initialize is none")
    transport.setProtocolVersion(server.protocolVersion)
    this.server = server
    await this.notification({ method: "notifications/initialized" })
  }

  readonly request: Peer["request"] = (request, { id = this.#nextId, onAnswer, onId, signal } = {}) =>
    new Promise((resolve, reject) => {
      const transport = this.#transport
      if (transport === undefined || this.#closed) return reject(new Error("Not connected"))
      if (signal?.aborted === true) return reject(signal.reason)
      this.#nextId = Math.max(this.#nextId, id) + 1
      onId?.(id)
      const abort = () => {
        const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } } as const
        transport.send(cancelled).catch(() => {})
        settled()
        reject(signal?.reason)
      }
      const settled = () => {
        this.#waiting.delete(id)
        signal?.removeEventListener("abort", abort)
      }
      signal?.addEventListener("abort", abort, { once: true })
      this.#waiting.set(id, {
        onAnswer,
        resolve: (result) => {
          settled()
          resolve(result)
        },
        reject: (error) => {
          settled()
          reject(error)
        }
      })
      transport.send({ ...request, jsonrpc: "2.0", id } as Message.Request).catch((error: unknown) => {
        this.#waiting.get(id)?.reject(error)
      })
    })

  readonly notification: Peer["notification"] = (notification) =>
    this.#send({ ...notification, jsonrpc: "2.0" } as Message.Notification)

  readonly answer: Peer["answer"] = (answer) => this.#send(answer)

  readonly listen: Peer["listen"] = (listener) => {
    const listeners = (this.#listeners ??= new Set())
    if (this.#closed) listener.onClose?.()
    else listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  readonly close: Peer["close"] = async () => {
    await this.#transport?.close()
  }

  #send(message: Message.Message): Promise<void> {
    if (this.#transport === undefined || this.#closed) return Promise.reject(new Error("Not connected"))
    return this.#transport.send(message)
  }

  #take(message: Message.Message, about: About): void {
    if ("method" in message) {
      const { onMessage } = this.#options
      onMessage?.(message, about, this)
      if (!("id" in message))
        for (const listener of [...(this.#listeners ?? [])]) listener.onNotification(message, about)
      else if (onMessage === undefined) this.#answerItself(message)
      return
    }
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id)
    if (waiting === undefined) return
    waiting.onAnswer?.()
    if ("error" in message) waiting.reject(new RpcError(message.error))
    else waiting.resolve(message.result)
  }

  #answerItself({ id, method }: Message.Request): void {
    const answer: Message.Answer =
      method === "ping"
        ? { jsonrpc: "2.0", id, result: {} }
        : { jsonrpc: "2.0", id, error: { code: methodNotFound, message: "Method not found" } }
    this.answer(answer).catch(() => {})
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    const error = new Error("The session has ended")
    for (const { reject } of [...this.#waiting.values()]) reject(error)
    this.#options.onClose?.(this)
    for (const listener of [...(this.#listeners ?? [])]) listener.onClose?.()
    this.#listeners = undefined
  }
}

const isServer = (result: Message.Result): result is Server =>
  typeof result["protocolVersion"] === "string" &&
  typeof result["capabilities"] === "object" &&
  result["capabilities"] !== null
