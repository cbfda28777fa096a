/**
 * The state of one session on the wire: its requests, the sockets that are held, what was seen of the server. Everything
 * else in this package writes to it or reads it.
 */
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { Connector, Evidence } from "@vmcp-keepalive/core"
import { Requests } from "@vmcp-keepalive/sdk-client"
import type * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Failure from "./failure.ts"
import type { Http, HttpRequest, HttpResponse } from "./http.ts"
import type { SseEvent } from "./sse.ts"

/** Request headers that belong to the protocol, so that no setting can replace them. */
export const reservedHeaders: ReadonlySet<string> = new Set([
  "accept",
  "content-type",
  "last-event-id",
  "mcp-protocol-version",
  "mcp-session-id"
])

/** What a wire is made of. */
export interface Options {
  readonly endpoint: URL
  readonly http: Http
  readonly host: Connector.SessionHost
  readonly requestInit: RequestInit | undefined
  readonly authProvider: OAuthClientProvider | undefined
  /** wall-clock time in milliseconds, for `Retry-After` */
  readonly now: () => number
  /** runs what belongs to the session beside its calls, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** What the wire must know of the SDK's transport. */
export interface Line {
  readonly sessionId: string | undefined
  readonly protocolVersion: string | undefined
}

/** How many ids of events are remembered, to recognize those that a server sends again. */
const rememberedEvents = 128

/** See the module. */
export class Wire {
  readonly endpoint: URL
  readonly host: Connector.SessionHost
  readonly now: () => number
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly requests: Requests.Requests
  /** the headers of the user, as they were read last */
  credentials: Readonly<Record<string, string>> = {}
  /** whether the session has been told to end: nothing is reported from then on */
  ended = false
  /** what a message that is no request of ours met last: the handshake's notification, above all */
  stray: Evidence.Evidence | undefined = undefined
  /** two events in a row of one stream: a server that can replay sends the second when asked for what follows the first */
  replayable: { readonly after: string; readonly id: string } | undefined = undefined

  readonly #http: Http
  readonly #requestInit: RequestInit | undefined
  readonly #authProvider: OAuthClientProvider | undefined
  readonly #exchanges = new Set<AbortController>()
  readonly #seen = new Map<string, number>()
  #line: Line | undefined = undefined
  #closed = false

  constructor(options: Options) {
    this.endpoint = options.endpoint
    this.host = options.host
    this.now = options.now
    this.fork = options.fork
    this.requests = new Requests.Requests(options.host.subscriptions)
    this.#http = options.http
    this.#requestInit = options.requestInit
    this.#authProvider = options.authProvider
  }

  /** Connects it with the transport that knows the session. */
  attach(line: Line): void {
    this.#line = line
  }

  get sessionId(): string | undefined {
    return this.#line?.sessionId
  }

  /** Something that holds a socket begins; it is aborted with the session, if {@link end} does not come first. */
  begin(): AbortController {
    const exchange = new AbortController()
    if (this.#closed) exchange.abort()
    else this.#exchanges.add(exchange)
    return exchange
  }

  /** It holds none any more. */
  end(exchange: AbortController): void {
    this.#exchanges.delete(exchange)
  }

  /** Sends a request to the endpoint. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const response = await this.#http(this.endpoint, request)
    this.host.alive()
    return response
  }

  /** What names the session to the server, as it is known now. */
  line(): Line {
    return { sessionId: this.#line?.sessionId, protocolVersion: this.#line?.protocolVersion }
  }

  /** The headers of a request of our own, as the SDK would make them. */
  async headers({ protocolVersion, sessionId }: Line = this.line()): Promise<Headers> {
    const headers = new Headers(this.#requestInit?.headers)
    const tokens = await this.#authProvider?.tokens()
    if (tokens !== undefined && !headers.has("authorization"))
      headers.set("authorization", `Bearer ${tokens.access_token}`)
    if (sessionId !== undefined) headers.set("mcp-session-id", sessionId)
    if (protocolVersion !== undefined) headers.set("mcp-protocol-version", protocolVersion)
    return this.withCredentials(headers)
  }

  /** Adds the headers of the user to those of a request. */
  withCredentials(headers: Headers): Headers {
    for (const [name, value] of Object.entries(this.credentials)) {
      if (!reservedHeaders.has(name.toLowerCase())) headers.set(name, value)
    }
    return headers
  }

  /** The status of a response as evidence. */
  refusal(response: HttpResponse, request: Headers): Evidence.Refused {
    const withSession = request.has("mcp-session-id")
    const retryAfter = Failure.retryAfter(response.headers.get("retry-after"), this.now())
    return {
      _tag: "Refused",
      status: response.status,
      withSession,
      ...(retryAfter === undefined ? {} : { retryAfter })
    }
  }

  /** Remembers an event by its id; true when the server had sent it before. */
  seen(event: SseEvent): boolean {
    if (event.id === undefined) return false
    // Some servers count the events of every stream from 1: the id alone does not tell an event.
    const content = event.data.length + Hash.string(event.data.slice(0, 256) + event.data.slice(-256))
    if (this.#seen.get(event.id) === content) return true
    this.#seen.set(event.id, content)
    const oldest = this.#seen.size > rememberedEvents ? this.#seen.keys().next().value : undefined
    if (oldest !== undefined) this.#seen.delete(oldest)
    return false
  }

  /** Nobody waits any more: every exchange ends. What begins from now on is part of the farewell. */
  quiesce(): void {
    if (this.ended) return
    this.ended = true
    this.requests.close()
    this.#abort()
  }

  /** The farewell is over as well: nothing is sent any more. */
  close(): void {
    this.quiesce()
    this.#closed = true
    this.#abort()
  }

  #abort(): void {
    for (const exchange of this.#exchanges) exchange.abort()
    this.#exchanges.clear()
  }
}
