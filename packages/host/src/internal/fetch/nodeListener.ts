/**
 * Answers requests of `node:http` with a `fetch`.
 *
 * What is written goes out as few packets as possible: each wakes the client, which takes as long as everything that is done here.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
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

/** How long the head of an answer waits for the first event, to go out with it, in milliseconds. Most tools have answered by then. */
const headDelay = 10

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
  response.once("close", () => {
    if (!response.writableEnded) gone.abort()
  })
  // told by its end
  response.on("error", ignore)
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
    if (answer.headers.get("content-type")?.startsWith("text/event-stream")) streams.add(response)
    // a client that listens waits for the head alone
    if (method === "GET") response.flushHeaders()
    await write(answer.body, response)
  } catch {
    // It went away, or a connection could not be made: what is wrong is told where that is made, and in events.
    if (response.headersSent) response.destroy()
    else refuse(response, 500)
  } finally {
    streams.delete(response)
  }
}

/** Writes a body as it comes, no faster than it is read. Rejects where the body fails. */
const write = async (body: ReadableStream<Uint8Array>, response: ServerResponse): Promise<void> => {
  const reader = body.getReader()
  const flush = setTimeout(() => response.flushHeaders(), headDelay)
  const close = () => {
    if (!response.writableEnded) reader.cancel().catch(ignore)
  }
  response.once("close", close)
  try {
    if (response.destroyed) return close()
    for (;;) {
      const { done, value } = await reader.read()
      clearTimeout(flush)
      if (response.destroyed) return
      if (done) return void response.end()
      if (!response.write(value)) await drained(response)
    }
  } finally {
    clearTimeout(flush)
    response.off("close", close)
  }
}

/** Waits until more can be written, or nothing more will be. */
const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done)
      resolve()
    }
    response.on("drain", done).on("close", done)
  })

const ignore = () => {}

/** An answer without a body, and the end of the connection: something may be left of the request. */
export const refuse = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { ...headers, "content-length": 0, connection: "close" }).end()
}

const headersOf = ({ headers }: IncomingMessage): Headers => {
  const found = new Headers()
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === "string") found.append(name, value)
  }
  return found
}

/** `undefined` where there is too much of it. Rejects where it ends too early. */
const bodyOf = (request: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | undefined> =>
  new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"]) > bodyBytes) return resolve(undefined)
    const chunks: Array<Buffer> = []
    let bytes = 0
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes <= bodyBytes) return
      request.off("data", take).pause()
      resolve(undefined)
    }
    request.on("data", take)
    request.once("end", () => resolve(Buffer.concat(chunks)))
    request.once("error", reject)
    // an error has a stack, which is not to be made for every request: each closes
    request.once("close", () => request.readableEnded || reject(new Error("The request was cut")))
  })
