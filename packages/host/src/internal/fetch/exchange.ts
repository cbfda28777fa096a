/**
 * A request of HTTP, and what answers it, between who speaks HTTP and an endpoint. Neither is an object of the Web's: to make a
 * `Request`, a `Response` and their streams takes longer than everything that an endpoint does for a call.
 */
import { EventStream, headers as ofEvents } from "./eventStream.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What an endpoint reads of a request.
 *
 * @since 0.1.0
 */
export interface Asked {
  readonly method: string
  /** by name, in lower case; `null` where there is none */
  readonly headers: Pick<Headers, "get">
  readonly body: ReadableStream<Uint8Array> | Uint8Array | string | null
  /** Its abort cancels the request. A body of the answer that is cancelled does so as well. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A request that has come to a server, with its body.
 *
 * @since 0.1.0
 */
export interface Received extends Asked {
  readonly body: Uint8Array<ArrayBuffer> | null
  readonly url: string
  /** The same as a `fetch` takes it, with a signal that is aborted when the client goes away. */
  readonly init: () => RequestInit
}

/**
 * What answers a request.
 *
 * @since 0.1.0
 */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /**
   * Messages to the host that come until one is its answer: `application/json` where that is all, and else `text/event-stream`; the
   * headers do not say which. Or what is there already, or comes as it is. Default: nothing
   */
  readonly body?: EventStream | ReadableStream<Uint8Array> | string | undefined
}

/**
 * Answers what has come to a server.
 *
 * @since 0.1.0
 */
export type Answering = (received: Received) => Promise<Answer>

/** What answers with objects of the Web's. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

// ------------------------------------------------------------------------------------------------------- constructors

/** A request as a `fetch` is given it. What is in memory does not become a stream. */
export const askedOf = (input: string | URL | Request, init: RequestInit): Asked => {
  // The signal is read apart: many requests share one that lives as long as their client, and each would hold on to it.
  const { signal: given = input instanceof Request ? input.signal : undefined, ...rest } = init
  const signal = given ?? undefined
  const { body, headers, method } = readOf(input, rest)
  return { method, headers, body, signal }
}

const readOf = (input: string | URL | Request, init: RequestInit): Asked => {
  if (input instanceof Request) return Object.keys(init).length === 0 ? input : new Request(input, init)
  const { body = null, headers, method = "GET" } = init
  const isThere = body === null || typeof body === "string" || body instanceof Uint8Array
  return isThere
    ? { method: method.toUpperCase(), headers: headers instanceof Headers ? headers : new Headers(headers), body }
    : new Request(input, init)
}

/**
 * The answer that a `Response` is.
 *
 * @since 0.1.0
 */
export const answerOf = ({ body, headers, status }: Response): Answer => ({
  status,
  headers: Object.fromEntries(headers),
  body: body ?? undefined
})

/**
 * The `Response` that an answer is. One that may be more than a message is an event stream.
 *
 * @since 0.1.0
 */
export const responseOf = ({ body, headers, status }: Answer): Response =>
  body instanceof EventStream
    ? new Response(body.body, { status, headers: { ...ofEvents, ...headers } })
    : new Response(body ?? null, { status, headers })

/**
 * Answers with a `fetch`.
 *
 * @since 0.1.0
 */
export const byFetch =
  (fetch: Fetch): Answering =>
  async ({ init, url }) =>
    answerOf(await fetch(url, init()))
