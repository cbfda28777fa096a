/**
 * The state of one session on the wire: its identity, its requests, the exchanges that hold sockets, what was seen of the server.
 * Everything else in this package writes to it or reads it.
 */
import type { Connector, Evidence } from "@vmcp-keepalive/core"
import {
  ClientTransport,
  IncomingRequests,
  type Listening,
  Message,
  type Requests
} from "@vmcp-keepalive/sdk-client/peer"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Decoding from "../http/decoding.ts"
import { type Asker, Exchange, type Owner } from "../http/exchange.ts"
import * as Failure from "../http/failure.ts"
import type { Head, HttpRequest, Sender } from "../http/sender.ts"
import type * as Heartbeat from "../stream/heartbeat.ts"
import { SeenEvents } from "../stream/seenEvents.ts"
import type { Authorization } from "./authorization.ts"
import type { HttpLimits } from "./limits.ts"
import { Slots } from "./slots.ts"
import * as WrittenSession from "./writtenSession.ts"

/** Request headers that belong to the protocol, so that no setting can replace them. */
export const reservedHeaders: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  "mcp-protocol-version",
  "mcp-session-id",
  "transfer-encoding",
  "upgrade"
])

/** Header names in lower case, and their values. */
export type HeaderRecord = Readonly<Record<string, string>>

/** What names a session to its server. */
export interface SessionIdentity {
  readonly sessionId: string | undefined
  readonly protocolVersion: string | undefined
}

/** What a wire is made of. */
export interface Options {
  readonly endpoint: URL
  readonly sender: Sender
  readonly host: Connector.SessionHost
  readonly limits: HttpLimits
  /** headers of every request that are not read again */
  readonly headers: HeaderRecord
  readonly authorization: Authorization | undefined
  /** monotonic milliseconds */
  readonly now: () => number
  /** wall-clock time in milliseconds, for `Retry-After` */
  readonly wallClock: () => number
  /** runs what belongs to the session beside its calls, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** sends a request, a notification, an answer */
  readonly post: (wire: Wire) => Omit<Requests.Wire, "deliver">
}

/** A handshake under way. The server may have begun a session as soon as it is sent, whose id only the response tells. */
export interface Handshake {
  readonly exchange: Exchange | undefined
  /** resolves when it has a response, or will have none */
  readonly response: Promise<void>
}

/** How many connections may be taken by calls, and by what is told to the server. */
const shares = (connections: number) => {
  const kept = Math.min(16, Math.floor(connections / 4))
  return { calls: connections - kept, telling: Math.max(1, Math.floor(kept / 2)) }
}

/** What is said of a server that has too many requests, and by which setting. */
const tooMany: { readonly [Excess in IncomingRequests.Excess]: string } = {
  inHand: "more requests of the server's are in hand than limits.serverRequests",
  bytes: "the requests of the server's in hand are longer than twice limits.messageBytes",
  perSecond: "more requests of the server's came within a second than limits.serverRequestsPerSecond"
}

/** See the module. */
export class Wire implements Owner, Heartbeat.Server {
  readonly endpoint: URL
  readonly host: Connector.SessionHost
  readonly limits: HttpLimits
  readonly authorization: Authorization | undefined
  readonly now: () => number
  readonly fork: Options["fork"]
  readonly transport: ClientTransport.ClientTransport
  readonly requests: Requests.Requests
  /** connections for the calls of the client */
  readonly calls: Slots
  /** connections for notifications and for answers to the server */
  readonly telling: Slots
  readonly incoming: IncomingRequests.IncomingRequests
  readonly events: SeenEvents
  /** done when the standing stream is open, or could not be opened the first time */
  readonly standing = Deferred.makeUnsafe<void>()
  sessionId: string | undefined = undefined
  protocolVersion: string | undefined = undefined
  /** whether the handshake is done: from then on the host hears of the end */
  opened = false
  /** why it is not certain that the server is of the legacy era, where the client speaks it */
  doubtfulEra: Evidence.Evidence | undefined = undefined
  /** what a message that is no request of ours met last: the handshake's notification, above all */
  stray: Evidence.Evidence | undefined = undefined
  /** as {@link Heartbeat.Server} */
  writesOneComment = false
  /** why the last call found no connection */
  unreachable: Evidence.Evidence | undefined = undefined
  /** two events in a row of one stream: a server that can replay sends the second when asked for what follows the first */
  replayable: { readonly after: string; readonly id: string } | undefined = undefined

  readonly #sender: Sender
  readonly #wallClock: () => number
  readonly #fixedHeaders: HeaderRecord
  /** those of the user: fixed ones, and credentials over them */
  #ownHeaders: HeaderRecord
  readonly #exchanges = new Set<Exchange>()
  #credentials: HeaderRecord = {}
  #isOver = false
  #closed = false
  #handshake: Handshake | undefined = undefined

  constructor(options: Options) {
    const { endpoint, host, limits, now } = options
    this.endpoint = endpoint
    this.host = host
    this.limits = limits
    this.now = now
    this.authorization = options.authorization
    this.fork = options.fork
    this.#sender = options.sender
    this.#wallClock = options.wallClock
    this.#fixedHeaders = options.headers
    this.#ownHeaders = options.headers
    const { calls, telling } = shares(limits.connections)
    this.calls = new Slots(calls)
    this.telling = new Slots(telling)
    this.incoming = new IncomingRequests.IncomingRequests({
      inHand: limits.serverRequests,
      // one as long as may be does not shut out another
      bytes: 2 * limits.messageBytes,
      perSecond: limits.serverRequestsPerSecond,
      cancelledFor: Duration.toMillis(limits.answerTimeout),
      now
    })
    this.events = new SeenEvents(limits.rememberedEvents)
    this.transport = new ClientTransport.ClientTransport({
      ...options.post(this),
      subscriptions: host.subscriptions,
      hasPerRequestStream: true,
      listChanged: (kind) => host.listChanged(kind),
      sessionId: () => this.sessionId,
      setProtocolVersion: (version) => {
        this.protocolVersion = version
        WrittenSession.remember(this)
      },
      closed: () => this.#closedByClient()
    })
    this.requests = this.transport.requests
  }

  /** What listening to changes needs. */
  get listening(): Omit<Listening.Port, "capabilities"> {
    return {
      transport: this.transport,
      host: this.host,
      now: this.now,
      fork: this.fork,
      subscribed: this.host.subscriptions,
      standing: Deferred.await(this.standing),
      receive: (notification) => this.receive(notification, 0),
      isOpened: () => this.opened,
      isOver: () => this.isOver
    }
  }

  /** Whether the session has been told to end: nothing is reported from then on. */
  get isOver(): boolean {
    return this.#isOver
  }

  // ------------------------------------------------------------------------------------------------------ what goes out

  get identity(): SessionIdentity {
    return { sessionId: this.sessionId, protocolVersion: this.protocolVersion }
  }

  /** Takes the headers of the user; true if they differ from those that were sent last. */
  authorize(credentials: HeaderRecord): boolean {
    const before = this.#credentials
    this.#credentials = credentials
    this.#ownHeaders = { ...this.#fixedHeaders, ...credentials }
    const names = Object.keys(credentials)
    return names.length !== Object.keys(before).length || names.some((name) => credentials[name] !== before[name])
  }

  /** The headers of a request, for this session unless another one is given. `token`: of an OAuth provider. */
  headers(
    accept: string,
    token: string | undefined,
    { protocolVersion, sessionId } = this.identity
  ): Record<string, string> {
    const headers: Record<string, string> = {
      ...(token === undefined ? undefined : { authorization: `Bearer ${token}` }),
      ...this.#ownHeaders,
      accept,
      "accept-encoding": Decoding.accepted
    }
    if (sessionId !== undefined) headers["mcp-session-id"] = sessionId
    if (protocolVersion !== undefined) headers["mcp-protocol-version"] = protocolVersion
    return headers
  }

  /** Begins an exchange with the endpoint, which ends with the session if not before; `undefined` where that is over. */
  exchange(
    request: Omit<HttpRequest, "url" | "repeatable"> & { readonly repeatable?: boolean },
    asker: Asker
  ): Exchange | undefined {
    if (this.#closed) return undefined
    const { body, headers, method, repeatable = method !== "POST" } = request
    const exchange = new Exchange(this.#sender, { method, url: this.endpoint, headers, body, repeatable }, asker, this)
    this.#exchanges.add(exchange)
    return exchange.send()
  }

  /** No connection can be made: nothing of the calls that wait for one has been sent, and the core decides what becomes of them. */
  cannotConnect(why: Evidence.Evidence): void {
    this.unreachable = why
    this.calls.dismiss()
  }

  /** as the host has it */
  get maySend(): boolean {
    return this.host.maySend?.() ?? true
  }

  ended(exchange: Exchange): void {
    this.#exchanges.delete(exchange)
  }

  // ------------------------------------------------------------------------------------------------------- what comes in

  heard(): void {
    this.host.alive()
  }

  /** The status of a response as evidence. */
  refusal({ header, status }: Head, { sessionId } = this.identity): Evidence.Refused {
    const retryAfter = Failure.retryAfter(header("retry-after"), this.#wallClock())
    return {
      _tag: "Refused",
      status,
      withSession: sessionId !== undefined || this.requests.era === "modern",
      ...(retryAfter === undefined ? {} : { retryAfter })
    }
  }

  /** A message of so many bytes came, on the stream that answers the given request, if on one. */
  receive(message: Message.Message, bytes: number, relatedRequestId?: Message.Id): void {
    if (this.#isOver) return
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) this.incoming.cancelled(cancelled)
    const excess = Message.isRequest(message) ? this.incoming.received(message.id, bytes) : undefined
    if (excess !== undefined) return this.overflow(tooMany[excess])
    try {
      this.requests.received(message, relatedRequestId === undefined ? undefined : { relatedRequestId })
    } catch {
      // What a handler of the user's throws must not end the reading: it has no better place to go to than where it comes from.
    }
  }

  /** Something exceeds a bound that is the session's: it is given up. */
  overflow(what: string): void {
    this.#lose("overflow", what)
  }

  #closedByClient(): void {
    // one that could not connect closes, too: why it could not is known from its requests
    if (this.opened) this.#lose("closed")
    else this.quiesce()
  }

  #lose(reason: "overflow" | "closed", what?: string): void {
    if (this.#isOver) return
    this.quiesce()
    this.host.lost(reason, what === undefined ? undefined : { summary: what, output: [] })
  }

  // ------------------------------------------------------------------------------------------------------------- its end

  /** The request that opens the session is sent; `undefined`: it has its response. */
  opening(handshake: Handshake | undefined): void {
    this.#handshake = handshake
  }

  /** Resolves when it is known whether the server has begun a session; `undefined` where it is known already. */
  get undecided(): Promise<void> | undefined {
    return this.sessionId === undefined ? this.#handshake?.response : undefined
  }

  /** Nobody waits any more: every exchange ends but that of a handshake. What begins from now on terminates the session. */
  quiesce(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.requests.close()
    for (const exchange of [...this.#exchanges]) if (exchange !== this.#handshake?.exchange) exchange.abort()
  }

  /** Nothing is sent any more. */
  close(): void {
    this.quiesce()
    this.#closed = true
    for (const exchange of [...this.#exchanges]) exchange.abort()
    this.#sender.close()
  }
}
