/**
 * The little of HTTP that a session needs, over any `fetch`: requests that can be aborted whole, and redirects that
 * never leave the origin.
 */
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Agent, fetch as undiciFetch } from "undici"

/** A response, as far as it is read. */
export interface HttpResponse {
  readonly status: number
  readonly headers: { readonly get: (name: string) => string | null }
  readonly body: Body | null
}

/** The body of a response. */
export interface Body {
  readonly getReader: () => BodyReader
  readonly cancel: () => Promise<void>
}

/** What reads a body. */
export interface BodyReader {
  readonly read: () => Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
  readonly cancel: () => Promise<void>
}

/** A request. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE" | "OPTIONS"
  readonly headers: Headers
  readonly body?: string
  readonly signal: AbortSignal
}

/** Sends a request; fails as `fetch` does. */
export type Http = (url: URL, request: HttpRequest) => Promise<HttpResponse>

/** What sends requests for one session, and what ends every connection that is left of it. */
export interface HttpClient {
  readonly send: Http
  readonly close: () => void
}

/**
 * Node's HTTP with connections of its own, so that none outlives the session, and without the limits of five minutes
 * that Node's global `fetch` has for the head of an answer and between two chunks: how long to wait is the core's matter.
 */
export const ofAgent = (requestInit: RequestInit | undefined): HttpClient => {
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, allowH2: false })
  const redirect = redirectMode(requestInit)
  return {
    send: (url, { headers, ...request }) =>
      undiciFetch(url, { ...request, headers: [...headers], redirect, dispatcher: agent }),
    close: () => void agent.destroy().catch(() => {})
  }
}

/** A `fetch` of the user's. Its connections are its own: those in use are ended, the idle ones are left to it. */
export const ofFetch = (fetch: FetchLike, requestInit: RequestInit | undefined): HttpClient => {
  const redirect = redirectMode(requestInit)
  return { send: (url, request) => fetch(url, { ...requestInit, ...request, redirect }), close: () => {} }
}

const redirectMode = (requestInit: RequestInit | undefined) =>
  requestInit?.redirect === "error" ? ("error" as const) : ("manual" as const)

/** A redirect to another origin, or one that would change the request. Nothing was sent there. */
export class RedirectRefused extends Error {
  override readonly name = "RedirectRefused"
  constructor() {
    super("The server redirects to another origin, or in a way that changes the request: not followed")
  }
}

const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])

/**
 * Follows redirects within the origin (and from http to https on the default ports of one host) that keep method and
 * body; any other fails with {@link RedirectRefused}, so that no credential and no session id reaches another origin.
 */
export const withinOrigin =
  (http: Http): Http =>
  async (start, request) => {
    let url = start
    for (let followed = 0; ; followed++) {
      const response = await http(url, request)
      const target = redirectTarget(response, url)
      if (target === undefined) return response
      await response.body?.cancel().catch(() => {})
      const keepsRequest = response.status >= 307 || request.method === "GET"
      if (followed === maxRedirects || !keepsRequest || !isWithinOrigin(start, target)) throw new RedirectRefused()
      url = target
    }
  }

const redirectTarget = (response: HttpResponse, from: URL): URL | undefined => {
  const location = redirects.has(response.status) ? response.headers.get("location") : null
  if (location === null) return undefined
  const target = URL.parse(location, from)
  if (target === null) throw new RedirectRefused()
  return target
}

const isWithinOrigin = (from: URL, to: URL): boolean =>
  to.username === "" &&
  to.password === "" &&
  (from.origin === to.origin ||
    (from.protocol === "http:" &&
      to.protocol === "https:" &&
      from.hostname === to.hostname &&
      from.port === "" &&
      to.port === ""))

/** How a body ended: as HTTP says that a body ends, or broken off. */
export type BodyEnd = "ended" | "cut"

/**
 * Reads a body to its end, decoded. An abort of the signal cancels it, whatever the `fetch` behind it does with its
 * signal once an answer has begun; `onText` ends the reading early by returning false.
 */
export const readText = async (
  body: Body | null,
  signal: AbortSignal,
  onText: (text: string) => boolean | void
): Promise<BodyEnd> => {
  if (body === null) return "ended"
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  if (signal.aborted) {
    cancel()
    return "cut"
  }
  signal.addEventListener("abort", cancel, { once: true })
  const decoder = new TextDecoder()
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) return signal.aborted ? "cut" : "ended"
      if (value !== undefined && onText(decoder.decode(value, { stream: true })) === false) {
        cancel()
        return "ended"
      }
    }
  } catch {
    return "cut"
  } finally {
    signal.removeEventListener("abort", cancel)
  }
}
