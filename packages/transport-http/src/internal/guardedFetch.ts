/**
 * The `fetch` that the SDK's transport gets: it answers the SDK with what the server sent, once that is known to be an
 * answer, and writes into the wire what the SDK would not tell.
 */
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Evidence } from "@vmcp-keepalive/core"
import { Message, type Requests } from "@vmcp-keepalive/sdk-client"
import { answerStream } from "./answerStream.ts"
import * as Failure from "./failure.ts"
import { readText, RedirectRefused } from "./http.ts"
import type { HttpRequest, HttpResponse } from "./http.ts"
import { kindFor, outgoing } from "./message.ts"
import { maxEventLength } from "./sse.ts"
import type { Wire } from "./wire.ts"

/** How long a cancellation may take, and the rest of an answer that is complete, in milliseconds. */
export const courtesy = 1000

/** How much is read of an answer that is none, in UTF-16 units. */
const maxRefusalLength = 64 * 1024

/** What the guarded `fetch` works with. */
export interface Options {
  readonly wire: Wire
  /** for requests that are not the endpoint's: those of OAuth */
  readonly elsewhere: FetchLike
  /** opens the stream for what the server sends of its own accord, and returns its body */
  readonly standing: () => ReadableStream<Uint8Array>
}

/** See the module. */
export const make =
  ({ elsewhere, standing, wire }: Options): FetchLike =>
  (url, init) => {
    if (String(url) !== wire.endpoint.href) return withAbort(wire, (signal) => elsewhere(url, { ...init, signal }))
    const headers = wire.withCredentials(new Headers(init?.headers))
    if (init?.method === "POST" && typeof init.body === "string") return post(wire, headers, init.body)
    if (init?.method === "GET" && !headers.has("last-event-id"))
      return Promise.resolve(new Response(standing(), { headers: { "content-type": "text/event-stream" } }))
    return pass(wire, { method: init?.method === "DELETE" ? "DELETE" : "GET", headers })
  }

const withAbort = async <A>(wire: Wire, send: (signal: AbortSignal) => Promise<A>): Promise<A> => {
  const exchange = wire.begin()
  try {
    return await send(exchange.signal)
  } finally {
    wire.end(exchange)
  }
}

const post = async (wire: Wire, headers: Headers, body: string): Promise<Response> => {
  const { id, method } = outgoing(body)
  if (method === "initialize") headers.delete("mcp-session-id")
  const pending = id === undefined || method === undefined ? undefined : wire.requests.pending.get(id)
  // It may have waited for its credentials until the session was over, and be sent on another one already.
  if (pending !== undefined && wire.ended) throw new Error("The session has ended")
  const exchange = wire.begin()
  if (pending !== undefined) {
    pending.release = () => exchange.abort()
    pending.record.fate = "dispatched"
  }
  const bound = method === "notifications/cancelled" ? setTimeout(() => exchange.abort(), courtesy) : undefined
  let streaming = false
  try {
    const response = await wire.send({ method: "POST", headers, body, signal: exchange.signal })
    if (response.status < 200 || response.status > 299) return await refused(wire, pending, headers, response, exchange)
    if (pending === undefined) return await accepted(response, exchange)
    switch (mediaType(response)) {
      case "text/event-stream":
        streaming = true
        return shown(response, answerStream(wire, pending, exchange, response))
      case "application/json":
        return shown(response, await jsonAnswer(wire, pending, response, exchange))
      default:
        void response.body?.cancel().catch(() => {})
        throw new Failure.NotAnAnswer("The server answered the request with something that is not MCP")
    }
  } catch (error) {
    if (!wire.ended && !exchange.signal.aborted) met(wire, pending, error)
    throw error
  } finally {
    clearTimeout(bound)
    if (!streaming) wire.end(exchange)
  }
}

/** Writes down an error of `fetch`, or of what was read of the answer. */
const met = (wire: Wire, pending: Requests.Pending | undefined, error: unknown): void => {
  const { reason, unsent } = Failure.ofFetch(error)
  const evidence = Evidence.transportFailure(error instanceof Cut ? "stream_cut" : reason)
  if (pending === undefined) wire.stray = evidence
  else pending.record.met(unsent ? "unsent" : error instanceof RedirectRefused ? "refused" : "dispatched", evidence)
}

/** The connection ended within an answer. */
class Cut extends Error {
  override readonly name = "AnswerCut"
}

const refused = async (
  wire: Wire,
  pending: Requests.Pending | undefined,
  headers: Headers,
  response: HttpResponse,
  exchange: AbortController
): Promise<Response> => {
  const evidence = wire.refusal(response, headers)
  if (pending === undefined) wire.stray = evidence
  else pending.record.met(response.status < 500 ? "refused" : "dispatched", evidence)
  // Read for the SDK's error; a server that does not end it is not waited for.
  const bound = setTimeout(() => exchange.abort(), courtesy)
  let text = ""
  await readText(response.body, exchange.signal, (part) => {
    text += part
    return text.length < maxRefusalLength
  })
  clearTimeout(bound)
  if (response.status > 599) throw new Failure.NotAnAnswer("The server answered with a status that HTTP does not know")
  return shown(response, response.status === 304 ? null : text)
}

/** A notification or an answer of ours was taken. What else the response holds has no reader. */
const accepted = async (response: HttpResponse, exchange: AbortController): Promise<Response> => {
  const bound = setTimeout(() => exchange.abort(), courtesy)
  await readText(response.body, exchange.signal, () => mediaType(response) !== "text/event-stream")
  clearTimeout(bound)
  return new Response(null, { status: 202, headers: headersFor(response) })
}

const jsonAnswer = async (
  wire: Wire,
  pending: Requests.Pending,
  response: HttpResponse,
  exchange: AbortController
): Promise<string> => {
  const parts: Array<string> = []
  let length = 0
  const end = await readText(response.body, exchange.signal, (part) => {
    wire.host.alive()
    parts.push(part)
    length += part.length
    return length <= maxEventLength
  })
  if (end === "cut") throw new Cut("The connection ended within the answer")
  const text = parts.join("")
  const value = Message.parse(text)
  const messages: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  if (messages.some((message) => kindFor(message, pending.id) === "answer")) return text
  throw new Failure.NotAnAnswer("What the server sent does not answer the request")
}

/** A request that is passed on as it is: a resumption, or an end of the session, that the user's code asked the SDK for. */
const pass = async (wire: Wire, request: Omit<HttpRequest, "signal">): Promise<Response> => {
  const exchange = wire.begin()
  const response = await wire.send({ ...request, signal: exchange.signal })
  if (request.method === "DELETE") {
    await response.body?.cancel().catch(() => {})
    wire.end(exchange)
    return shown(response, null)
  }
  const body = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      const encoder = new TextEncoder()
      await readText(response.body, exchange.signal, (text) => {
        wire.host.alive()
        controller.enqueue(encoder.encode(text))
      })
      wire.end(exchange)
      controller.close()
    }
  })
  return shown(response, body)
}

const mediaType = (response: HttpResponse): string | undefined =>
  response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase()

const shownHeaders = ["content-type", "mcp-session-id", "www-authenticate"]

const headersFor = (response: HttpResponse): Array<[string, string]> =>
  shownHeaders.flatMap((name): Array<[string, string]> => {
    const value = response.headers.get(name)
    return value === null ? [] : [[name, value]]
  })

/** The response as the SDK gets it: with the headers that it reads. */
const shown = (response: HttpResponse, body: ReadableStream<Uint8Array> | string | null): Response =>
  new Response(body, { status: response.status, headers: headersFor(response) })
