/**
 * Answers requests of `node:http`.
 *
 * What is written goes out as few packets as possible: each wakes the client, which takes as long as everything that is done here.
 * An answer that is all there is to say is JSON: of what a call takes a client on an SDK, a quarter is for reading an event stream.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { eventOf, EventStream, headers as ofEvents, type Part } from "./eventStream.ts"
import type { Answer, Answering, Received } from "./exchange.ts"
import { bodyBytes } from "./httpRequest.ts"

/** What listens to a server, until it is ended. */
export interface NodeListener {
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void
  readonly end: () => void
}

/** Clients cut a body in which nothing comes for long: Node's `fetch` after 300 s. In milliseconds, as servers of the SDKs do. */
const commentInterval = 15_000

/** How long the head of an answer waits for what goes out with it, in milliseconds. Most tools have answered by then. */
const headDelay = 10

/** Event streams that are open get a comment now and then. */
export const make = (answering: Answering): NodeListener => {
  const streams = new Set<ServerResponse>()
  const comments = setInterval(() => {
    for (const stream of streams) if (!stream.writableNeedDrain) stream.write(":\n\n")
  }, commentInterval)
  comments.unref()
  return {
    listener: (request, response) => void serve(answering, request, response, streams),
    end: () => clearInterval(comments)
  }
}

const methods: ReadonlySet<string> = new Set(["POST", "GET", "DELETE"])

/** Answers one request; it is among the streams while it is an event stream. Never rejects. */
const serve = async (
  answering: Answering,
  request: IncomingMessage,
  response: ServerResponse,
  streams: Set<ServerResponse>
): Promise<void> => {
  // told by its end
  response.on("error", ignore)
  try {
    const { method = "" } = request
    if (!methods.has(method)) return refuse(response, 405, { allow: "POST, GET, DELETE" })
    const body = method === "POST" ? await bodyOf(request) : null
    if (body === undefined) return refuse(response, 413)
    const asked = new Asked(request, body)
    onGone(response, () => asked.abort())
    await write(await answering(asked), response, streams, method === "GET")
  } catch {
    // It went away, or a connection could not be made: what is wrong is told where that is made, and in events.
    if (response.headersSent) response.destroy()
    else refuse(response, 500)
  } finally {
    streams.delete(response)
  }
}

/** What was asked; what becomes of it is no object of the Web's before somebody needs one. */
class Asked implements Received {
  readonly method: string
  readonly headers: Received["headers"]
  readonly body: Received["body"]
  readonly url: string
  readonly #request: IncomingMessage
  #gone: AbortController | undefined

  constructor(request: IncomingMessage, body: Received["body"]) {
    const { headers, method = "", url = "/" } = request
    this.#request = request
    this.method = method
    this.url = `http://localhost${url}`
    this.headers = {
      get: (name) => {
        const value = headers[name]
        return typeof value === "string" ? value : null
      }
    }
    this.body = body
  }

  readonly init = (): RequestInit => {
    const headers = new Headers()
    for (const [name, value] of Object.entries(this.#request.headers)) {
      if (typeof value === "string") headers.append(name, value)
    }
    this.#gone ??= new AbortController()
    return { method: this.method, headers, body: this.body, signal: this.#gone.signal }
  }

  /** The client has gone away. */
  abort(): void {
    this.#gone?.abort()
  }
}

/** Calls that when the client goes away before it was answered. */
const onGone = (response: ServerResponse, gone: () => void): void => {
  response.once("close", () => {
    if (!response.writableEnded) gone()
  })
}

/** Writes an answer: a body as it comes, no faster than it is read. Rejects where the body fails. `isStanding`: the client waits for the head. */
const write = async (
  { body = "", headers, status }: Answer,
  response: ServerResponse,
  streams: Set<ServerResponse>,
  isStanding: boolean
): Promise<void> => {
  if (typeof body === "string") return writeAll(response, status, headers, body)
  const isMessages = body instanceof EventStream
  const source = isMessages ? body : new Parts(body)
  const head = isMessages ? { ...ofEvents, ...headers } : headers
  const begin = () => {
    if (response.headersSent) return
    response.writeHead(status, head)
    if (head["content-type"]?.startsWith("text/event-stream")) streams.add(response)
  }
  const flush = () => {
    begin()
    response.flushHeaders()
  }
  onGone(response, () => source.cancel())
  if (response.destroyed) return source.cancel()
  if (!isMessages) begin()
  if (isStanding) flush()
  const delayed = setTimeout(flush, headDelay)
  try {
    for (;;) {
      const part = await source.next()
      clearTimeout(delayed)
      if (response.destroyed) return
      if (part._tag === "Answer" && !response.headersSent) {
        return writeAll(response, status, { ...headers, "content-type": "application/json" }, part.json)
      }
      begin()
      if (part._tag === "End") return void response.end()
      if (part._tag === "Answer") return void response.end(eventOf(part.json))
      if (!response.write(part.data)) await drained(response)
    }
  } finally {
    clearTimeout(delayed)
  }
}

/** All that there is, as one piece: where its length is known, its end needs none of its own. */
const writeAll = (response: ServerResponse, status: number, headers: Answer["headers"], text: string): void => {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) }).end(text)
}

/** A body of bytes. */
class Parts {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader()
  }

  async next(): Promise<Part<Uint8Array>> {
    const { done, value } = await this.#reader.read()
    return done ? { _tag: "End" } : { _tag: "Some", data: value }
  }

  cancel(): void {
    this.#reader.cancel().catch(ignore)
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
