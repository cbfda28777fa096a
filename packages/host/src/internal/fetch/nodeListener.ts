/**
 * Answers requests of `node:http` with a `fetch`.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type { ReadableStream } from "node:stream/web"
import { bodyBytes } from "./httpRequest.ts"

/** What answers. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What listens to a server, until it is ended. */
export interface NodeListener {
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void
  readonly end: () => void
}

/** Clients cut a body in which nothing comes for long: Node's `fetch` after 300 s. In milliseconds, as servers of the SDKs do. */
const commentInterval = 15_000

/** Event streams that are open get a comment now and then. */
export const make = (fetch: Fetch): NodeListener => {
  const streams = new Set<ServerResponse>()
  const comments = setInterval(() => {
    for (const stream of streams) if (!stream.writableNeedDrain) stream.write(":\n\n")
  }, commentInterval)
  comments.unref()
  return {
    listener: (request, response) => void serve(fetch, request, response, streams),
    end: () => clearInterval(comments)
  }
}

const methods: ReadonlySet<string> = new Set(["POST", "GET", "DELETE"])

/** Answers one request; it is among the streams while it is an event stream. Never rejects. */
const serve = async (
  fetch: Fetch,
  request: IncomingMessage,
  response: ServerResponse,
  streams: Set<ServerResponse>
): Promise<void> => {
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  try {
    const { method = "", url = "/" } = request
    if (!methods.has(method)) return refuse(response, 405, { allow: "POST, GET, DELETE" })
    const body = method === "POST" ? await bodyOf(request) : null
    if (body === undefined) return refuse(response, 413)
    const answer = await fetch(`http://localhost${url}`, {
      method,
      headers: headersOf(request),
      body,
      signal: gone.signal
    })
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    if (answer.body === null) return void response.end()
    // before anything comes, since the client waits for it
    response.flushHeaders()
    if (answer.headers.get("content-type")?.startsWith("text/event-stream")) streams.add(response)
    await pipeline(Readable.fromWeb(answer.body as ReadableStream), response)
  } catch {
    // It went away, or a connection could not be made: what is wrong is told where that is made, and in events.
    if (response.headersSent) response.destroy()
    else refuse(response, 500)
  } finally {
    streams.delete(response)
  }
}

/** An answer without a body, and the end of the connection: something may be left of the request. */
export const refuse = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { ...headers, "content-length": 0, connection: "close" }).end()
}

const headersOf = ({ headers }: IncomingMessage): Array<[string, string]> => {
  const found: Array<[string, string]> = []
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === "string") found.push([name, value])
  }
  return found
}

/** `undefined` where there is too much of it. */
const bodyOf = async (request: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | undefined> => {
  if (Number(request.headers["content-length"]) > bodyBytes) return undefined
  const chunks: Array<Buffer> = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue
    bytes += chunk.length
    if (bytes > bodyBytes) return undefined
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}
