/**
 * An MCP server over HTTP or HTTPS, by hand, that counts what it executes and does to each tool call what it is told. It has
 * sessions and answers with JSON; GET is 405, so that no connection is opened but for requests of the client's own.
 */
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import * as Https from "node:https"

/** One `tools/call` that arrived. */
export interface Arrival {
  /** what tells one call from another: its argument `id` */
  readonly id: string
  /** how often this call has arrived at this path by now */
  readonly nth: number
  /** without the query */
  readonly path: string
  readonly request: Http.IncomingMessage
  readonly response: Http.ServerResponse
  /** counts it as executed */
  readonly execute: () => void
  /** sends the result */
  readonly answer: () => void
}

/** What happens to a call. */
export type Reaction = (arrival: Arrival) => void

/** Executes and answers. */
export const perform: Reaction = ({ answer, execute }) => {
  execute()
  answer()
}

export interface Options {
  /** PEM: then it speaks HTTPS */
  readonly secure?: { readonly cert: string; readonly key: string } | undefined
  /** whether each connection is for one request (`Connection: close`); default false */
  readonly closing?: boolean
  /** called when an answer has been handed to the kernel */
  readonly onAnswered?: (socket: Http.IncomingMessage["socket"]) => void
}

interface Message {
  readonly id?: string | number
  readonly method: string
  readonly params?: { readonly protocolVersion?: string; readonly arguments?: { readonly id?: string } }
}

/** See the module. */
export class CountingServer {
  readonly server: Http.Server
  /** the status for a session id that it does not know */
  staleSession = 404
  /** what happens to calls that have no reaction of their own */
  reaction: Reaction = perform
  readonly #options: Options
  readonly #sessions = new Set<string>()
  readonly #reactions = new Map<string, Reaction>()
  readonly #executions = new Map<string, number>()
  readonly #arrivals = new Map<string, number>()

  constructor(options: Options = {}) {
    this.#options = options
    const listener: Http.RequestListener = (request, response) => {
      const parts: Array<Buffer> = []
      request.on("error", () => {})
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => this.#handle(request, response, Buffer.concat(parts).toString()))
    }
    this.server =
      options.secure === undefined
        ? Http.createServer({ noDelay: true }, listener)
        : Https.createServer({ ...options.secure, noDelay: true }, listener)
    this.server.keepAliveTimeout = 60_000
    this.server.on("tlsClientError", () => {})
    this.server.on("clientError", (_error, socket) => socket.destroy())
  }

  /** What happens to the call with this id, each time that it arrives. */
  react(id: string, reaction: Reaction): void {
    this.#reactions.set(id, reaction)
  }

  /** How often a call was executed. */
  executions(id: string): number {
    return this.#executions.get(id) ?? 0
  }

  /** All that were executed, and how often. */
  allExecutions(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#executions)
  }

  /** How often a call arrived at a path. */
  arrivals(id: string, path = "/mcp"): number {
    return this.#arrivals.get(`${path} ${id}`) ?? 0
  }

  /** Forgets every session, without a word. */
  expireSessions(): void {
    this.#sessions.clear()
  }

  #handle(request: Http.IncomingMessage, response: Http.ServerResponse, body: string): void {
    const { closing, onAnswered } = this.#options
    if (closing === true) response.setHeader("connection", "close")
    if (onAnswered !== undefined) response.on("finish", () => onAnswered(request.socket))
    const session = String(request.headers["mcp-session-id"])
    if (request.method === "DELETE") {
      response.writeHead(this.#sessions.delete(session) ? 200 : this.staleSession).end()
      return
    }
    if (request.method !== "POST") {
      response.writeHead(405).end()
      return
    }
    const message: Message = JSON.parse(body)
    if (message.method === "initialize") {
      const id = randomUUID()
      this.#sessions.add(id)
      response.setHeader("mcp-session-id", id)
    } else if (!this.#sessions.has(session)) {
      response.writeHead(this.staleSession).end()
      return
    }
    if (message.id === undefined) {
      response.writeHead(202).end()
      return
    }
    if (message.method === "tools/call") this.#call(message, request, response)
    else answer(response, message.id, resultOf(message))
  }

  #call(message: Message, request: Http.IncomingMessage, response: Http.ServerResponse): void {
    const id = message.params?.arguments?.id ?? ""
    const path = (request.url ?? "").replace(/\?.*/, "")
    const nth = this.arrivals(id, path) + 1
    this.#arrivals.set(`${path} ${id}`, nth)
    const reaction = this.#reactions.get(id) ?? this.reaction
    reaction({
      id,
      nth,
      path,
      request,
      response,
      execute: () => this.#executions.set(id, this.executions(id) + 1),
      answer: () => answer(response, message.id, { content: [{ type: "text", text: id }] })
    })
  }
}

/** The whole answer, or the rest of one whose head is already sent. */
const answer = (response: Http.ServerResponse, id: Message["id"], result: unknown): void => {
  if (!response.headersSent) response.writeHead(200, { "content-type": "application/json" })
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result }))
}

const resultOf = ({ method, params }: Message): unknown => {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "counting", version: "1.0.0" }
      }
    case "tools/list":
      return { tools: [{ name: "act", inputSchema: { type: "object", properties: { id: { type: "string" } } } }] }
    default:
      return {}
  }
}
