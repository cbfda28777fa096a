/**
 * Answers requests of `node:http` with a `fetch`.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type { ReadableStream } from "node:stream/web"
import { bodyBytes } from "../fetch/httpRequest.ts"

/** What answers. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** The headers that say something here. */
const names = ["accept", "content-type", "mcp-session-id", "mcp-protocol-version"] as const

const methods: ReadonlySet<string> = new Set(["POST", "GET", "DELETE"])

/** Answers one request; `open` and `over` are told of an event stream. Never rejects. */
export const serve = async (
  fetch: Fetch,
  request: IncomingMessage,
  response: ServerResponse,
  streams: Set<ServerResponse>
): Promise<void> => {
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  try {
    const { method = "" } = request
    if (!methods.has(method)) return refuse(response, 405)
    const body = method === "POST" ? await bodyOf(request) : null
    if (body === undefined) return refuse(response, 413)
    const headers = new Headers()
    for (const name of names) {
      const value = request.headers[name]
      if (typeof value === "string") headers.set(name, value)
    }
    const answer = await fetch("http://localhost/", { method, headers, body, signal: gone.signal })
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    if (answer.body === null) return void response.end()
    // before anything comes, since the client waits for it
    response.flushHeaders()
    streams.add(response)
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
export const refuse = (response: ServerResponse, status: number): void => {
  response.writeHead(status, { "content-length": 0, connection: "close" }).end()
}

/** `undefined` where there is too much of it. */
const bodyOf = async (request: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | undefined> => {
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
