/**
 * An endpoint of MCP's Streamable HTTP (2025-11-25) for hosts, which answers by itself: what a server of one's own puts on a port. Each
 * `initialize` opens a session, and for each session a connection, message by message.
 *
 * Bodies are at most 16 MiB; what a host does not read, or opens no stream for, is bounded. Who may ask is the server's matter.
 */
import * as Node from "./internal/fetch/nodeListener.ts"
import type { Answer, Answering, Asked } from "./internal/fetch/exchange.ts"
import { Endpoint, type Ids, type Options as EndpointOptions } from "./internal/fetch/endpoint.ts"

// ------------------------------------------------------------------------------------------------------------- models

/** @since 0.1.0 */
export type { Answer, Answering, Asked, Received } from "./internal/fetch/exchange.ts"
/** @since 0.1.0 */
export type { Ids } from "./internal/fetch/endpoint.ts"
/** @since 0.1.0 */
export type { NodeListener } from "./internal/fetch/nodeListener.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /** what the errors of lost calls call the server behind it */
  readonly id: string
  /** Opens the connection of a session. Where it rejects, so does `fetch`. */
  readonly open: EndpointOptions["open"]
  /**
   * How many sessions there may be at a time. Where there would be one too many, the one ends that was not used for the longest time,
   * first among those without an open stream; none ends with a request under way, and where all have one, the next `initialize` is
   * answered with 503.
   */
  readonly maxSessions: number
  /**
   * What sessions are called, and which of those that this endpoint does not know may be opened again: then the host's session goes on,
   * and it need not initialize anew. What it has subscribed to, and its log level, are not known any more. A session that its host
   * has ended is not opened again. Default: ids are drawn at random, and none is known but those that are open.
   */
  readonly ids?: Ids | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface SessionEndpoint {
  /** Answers a request, whatever its URL. What belongs to it alone is written by who gets the answer, see {@link nodeListener}. */
  readonly answer: (asked: Asked) => Promise<Answer>
  /** The same as a `fetch`. An abort, or a body that is cancelled, cancels the request of the host. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>
  /** how many sessions there are */
  readonly size: number
  /**
   * Ends the sessions that were not used since this was called last: that have no request under way, and no stream for what
   * belongs to none. Called once in a while it frees what is held for hosts that went away without a word; a host that comes back has its
   * session again where {@link Options.ids} knows it.
   */
  readonly endUnused: () => void
  /** Ends all sessions: what is under way is answered with an error. Resolves when everything that they held is freed. */
  readonly close: () => Promise<void>
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * An endpoint without sessions.
 *
 * @since 0.1.0
 */
export const make = (options: Options): SessionEndpoint => new Endpoint(options)

/**
 * Answers requests of `node:http`: bodies are at most 16 MiB, event streams get a comment every 15 s. Methods other than POST, GET
 * and DELETE are refused. `end` stops the comments; the server closes its connections itself.
 *
 * @since 0.1.0
 */
export const nodeListener = (answering: Answering): Node.NodeListener => Node.make(answering)

/** @since 0.1.0 */
export { answerOf, byFetch, responseOf } from "./internal/fetch/exchange.ts"
