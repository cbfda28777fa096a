/**
 * A client without an SDK: JSON-RPC messages as they are, in order. For gateways and middleware that hand the messages of others
 * on, and for transports, of which it is all that they need of a client.
 */
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { ClientKind } from "./ClientKind.ts"
import type { ClientTransport } from "./ClientTransport.ts"
import { Face } from "./internal/modern/face.ts"
import type { AskOptions } from "./internal/modern/face.ts"
import * as HandedOn from "./internal/modern/handedOn.ts"
import * as Negotiation from "./internal/modern/negotiation.ts"
import * as Shape from "./internal/modern/shape.ts"
import { RpcError } from "./internal/rpcError.ts"
import * as View from "./internal/view.ts"
import * as Message from "./Message.ts"
import type { About, Question, Requests } from "./Requests.ts"

/**
 * One end of a session.
 *
 * @since 0.1.0
 */
export interface Peer {
  /**
   * Shakes hands over a transport; once. `known`: which era the server speaks, where that need not be found out and the peer was not
   * made for one.
   */
  readonly connect: (transport: ClientTransport, known?: "legacy" | "modern") => Promise<void>
  /**
   * Asks the server something. Rejects with {@link RpcError} where it answers with an error, and with another `Error` where no
   * answer came. An abort of the signal sends `notifications/cancelled` and rejects with the signal's reason. No timeout.
   */
  readonly request: (request: Question, options?: RequestOptions) => Promise<Message.Result>
  /** Tells the server something. One of the modern era is told nothing. */
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
  /**
   * what the server said of itself, in the shape of `initialize` whatever its era, in the version that was asked for; `undefined` before
   * the handshake is done
   */
  readonly server: Server | undefined
  /** which era the server speaks; `undefined` before the handshake is done */
  readonly era: "legacy" | "modern" | undefined
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
 * Which revisions of MCP to speak.
 *
 * @since 0.1.0
 */
export type Era = "auto" | "legacy" | "modern"

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
   * Which revisions to speak: those with `initialize` (`legacy`), MCP 2026-07-28 (`modern`), or what the server speaks, which it is asked
   * for (`auto`). A server of the modern era looks like one of the legacy era from here. Default: `auto`
   */
  readonly era?: Era | undefined
  /**
   * Takes every request and notification of the server's, in order, with the request on whose answer stream it came
   * (`relatedRequestId`; HTTP only). Requests are to be answered through {@link Peer.answer}. Default: `ping` is answered,
   * other requests with -32601.
   */
  readonly onMessage?: ((message: Message.Request | Message.Notification, about: About, peer: Peer) => void) | undefined
  /** the session is over: nothing more comes */
  readonly onClose?: ((peer: Peer) => void) | undefined
}

/** @since 0.1.0 */
export { isRpcError, RpcError } from "./internal/rpcError.ts"

/**
 * The parameters of a request whose maker is a client of MCP 2026-07-28 itself, which says these `words` of itself (`clientInfo` and
 * `capabilities`): a server of that era hears them in the place of the peer's own. The maker gets the result as it is, also one that asks
 * something (`input_required`), and goes on with `inputResponses` and `requestState` in the parameters of its next request. Over a session
 * of the legacy era such a further request is refused, and not sent. `JSON` does not see the mark, and whoever copies the parameters
 * copies it.
 *
 * @since 0.1.0
 */
export const handOn = (params: Message.Params | undefined, words: Message.Params): Message.Params =>
  HandedOn.mark(params, words)

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
 * provided the factory would hear nothing. `era`: which one to speak, with peers that were not made for one. Default: `auto`
 *
 * @since 0.1.0
 */
export const kind = (create?: () => Peer, era: Era = "auto"): ClientKind<Peer> => ({
  issues: Factory.useSync((factory) => (create === undefined || factory === undefined ? [] : [twoMakers])),
  make: create === undefined ? Factory.useSync((factory) => (factory ?? make)()) : Effect.sync(create),
  connect: (peer, transport, known) => peer.connect(transport, era === "auto" ? known : era),
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

const newestVersion = "2025-11-25"

const newest: Message.Params = {
  protocolVersion: newestVersion,
  capabilities: {},
  clientInfo: { name: "vmcp-keepalive", version: "0.1.0" }
}

const unknownMethod = { code: -32601, message: "Method not found" }

const ofAnotherEra = {
  code: -32602,
  message: "The server that has asked is not there any more: nothing was executed. Make the call anew"
}

/** Who waits for an answer. */
interface Waiting {
  readonly onAnswer: ((answer: Message.Answer) => void) | undefined
  readonly resolve: (result: Message.Result) => void
  readonly reject: (error: unknown) => void
}

class RawPeer implements Peer {
  server: Server | undefined = undefined
  era: Peer["era"] = undefined
  readonly #options: Options
  readonly #waiting = new Map<Message.Id, Waiting>()
  // made for the first that listens
  #listeners: Set<Listener> | undefined
  #transport: ClientTransport | undefined = undefined
  /** a server of the modern era, as one of the legacy era */
  #face: Face | undefined = undefined
  #nextId = 0
  #closed = false

  constructor(options: Options) {
    this.#options = options
  }

  get capabilities(): Server["capabilities"] | undefined {
    return this.server?.capabilities
  }

  // Bound, since the view of a call hands them on.
  readonly connect: Peer["connect"] = async (transport, known) => {
    if (this.#transport !== undefined) throw new Error("A peer connects once")
    this.#transport = transport
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the transport is no EventTarget
    transport.onclose = () => this.#end()
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- as above
    transport.onmessage = (message: Message.Message, about: About = {}) => this.#take(message, about)
    await transport.start()
    const { era = "auto", initialize = newest } = this.#options
    const wanted = era === "auto" ? (known ?? era) : era
    const verdict = wanted === "legacy" ? undefined : await this.#discovered(initialize)
    if (verdict?._tag === "Modern") return this.#begin(transport, initialize, verdict.discovered)
    if (verdict?._tag === "Foreign" || wanted === "modern")
      throw new Error("The server does not speak the revision that was asked for")
    await this.#initialize(transport, initialize)
  }

  /** Asks the server for its era. Rejects where it says nothing of it. */
  #discovered(initialize: Message.Params): Promise<Negotiation.Verdict> {
    const question = { method: "server/discover", params: { _meta: Message.envelope(initialize) } }
    return this.#ask(question, { id: "discover" }).then(Negotiation.ofResult, (error: unknown) => {
      const verdict = Negotiation.ofError(error)
      if (verdict === undefined) throw error
      return verdict
    })
  }

  #begin(transport: ClientTransport, initialize: Message.Params, discovered: Message.Result): void {
    const { protocolVersion } = initialize
    const isLegacy = typeof protocolVersion === "string" && !Message.isModern(protocolVersion)
    const server = Shape.server(discovered, isLegacy ? protocolVersion : newestVersion)
    transport.setProtocolVersion(Message.modernRevision)
    this.#face = new Face({
      ask: (question, options) => this.#ask(question, options),
      deliver: (message, about) => this.#handOn(message, about),
      transport,
      envelope: Message.envelope(initialize),
      capabilities: server.capabilities
    })
    this.server = server
    this.era = "modern"
    this.#face.start()
  }

  async #initialize(transport: ClientTransport, initialize: Message.Params): Promise<void> {
    const server = await this.#ask({ method: "initialize", params: initialize }, {})
    if (!isServer(server)) throw new Error("The server's answer to initialize is none")
    transport.setProtocolVersion(server.protocolVersion)
    this.server = server
    this.era = "legacy"
    await this.notification({ method: "notifications/initialized" })
  }

  readonly request: Peer["request"] = (request, options = {}) => {
    if (this.#face !== undefined) return this.#face.request(request, options)
    if (HandedOn.isFurtherLeg(request.params)) return Promise.reject(new RpcError(ofAnotherEra))
    const { onId, ...others } = options
    return this.#ask(request, { ...others, onId: onId && ((id) => typeof id === "number" && onId(id)) })
  }

  #ask(request: Question, { headers, id = this.#nextId, onAnswer, onId, signal }: AskOptions): Promise<Message.Result> {
    return new Promise((resolve, reject) => {
      const transport = this.#transport
      if (transport === undefined || this.#closed) return reject(new Error("Not connected"))
      if (signal?.aborted === true) return reject(signal.reason)
      if (typeof id === "number") this.#nextId = Math.max(this.#nextId, id) + 1
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
      const options = headers === undefined ? undefined : { headers }
      transport.send({ ...request, jsonrpc: "2.0", id } as Message.Request, options).catch((error: unknown) => {
        this.#waiting.get(id)?.reject(error)
      })
    })
  }

  readonly notification: Peer["notification"] = (notification) =>
    this.#face === undefined
      ? this.#send({ ...notification, jsonrpc: "2.0" } as Message.Notification)
      : Promise.resolve()

  readonly answer: Peer["answer"] = (answer) => {
    if (this.#face === undefined) return this.#send(answer)
    this.#face.answer(answer)
    return Promise.resolve()
  }

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
    if ("method" in message) return this.#face === undefined ? this.#handOn(message, about) : this.#told(message, about)
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id)
    if (waiting === undefined) return
    try {
      waiting.onAnswer?.(message)
    } finally {
      if ("error" in message) waiting.reject(new RpcError(message.error))
      else waiting.resolve(message.result)
    }
  }

  /** A server of the modern era tells something; it asks nothing but in its results. */
  #told(message: Message.Request | Message.Notification, about: About): void {
    if ("id" in message) return this.#refuse(message.id)
    const told = this.#face?.take(message)
    if (told !== undefined) this.#handOn(told, this.#face?.about(about) ?? about)
  }

  #handOn(message: Message.Request | Message.Notification, about: About): void {
    const { onMessage } = this.#options
    try {
      onMessage?.(message, about, this)
    } finally {
      if (!("id" in message)) this.#tell((listener) => listener.onNotification(message, about))
    }
    if ("id" in message && onMessage === undefined) this.#answerItself(message)
  }

  #tell(hear: (listener: Listener) => void): void {
    for (const listener of [...(this.#listeners ?? [])]) {
      try {
        hear(listener)
      } catch {
        // They are strangers to each other: what one throws must not keep the others from hearing.
      }
    }
  }

  #answerItself({ id, method }: Message.Request): void {
    if (method === "ping") this.answer({ jsonrpc: "2.0", id, result: {} }).catch(() => {})
    else this.answer({ jsonrpc: "2.0", id, error: unknownMethod }).catch(() => {})
  }

  #refuse(id: Message.Id): void {
    this.#send({ jsonrpc: "2.0", id, error: unknownMethod }).catch(() => {})
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    const error = new Error("The session has ended")
    for (const { reject } of [...this.#waiting.values()]) reject(error)
    this.#face?.end(error)
    try {
      this.#options.onClose?.(this)
    } finally {
      this.#tell((listener) => listener.onClose?.())
      this.#listeners = undefined
    }
  }
}

const isServer = (result: Message.Result): result is Server =>
  typeof result["protocolVersion"] === "string" &&
  typeof result["capabilities"] === "object" &&
  result["capabilities"] !== null
