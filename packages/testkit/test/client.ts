/** The least MCP client over Streamable HTTP, so that a test sees exactly what the server answered. */
import { Effect } from "effect"
import type { Call } from "../src/McpServer.ts"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The JSON-RPC message that answers, from a JSON body or an SSE stream. */
  readonly message: { readonly id?: unknown; readonly result?: unknown; readonly error?: { readonly code: number } }
}

const lastMessage = (text: string): Answer["message"] => {
  const candidates = text.startsWith("{")
    ? [text]
    : text.split("\n").flatMap((line) => /^data: ?(\{.*)/.exec(line)?.[1] ?? [])
  const messages = candidates.map((candidate): Answer["message"] => {
    try {
      return JSON.parse(candidate)
    } catch {
      return {}
    }
  })
  return messages.find((message) => message.result !== undefined || message.error !== undefined) ?? {}
}

export const request = (
  url: string,
  method: string,
  options: {
    readonly session?: string | undefined
    readonly body?: unknown
    readonly headers?: Record<string, string>
  } = {}
): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      redirect: "manual",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...(options.session === undefined ? {} : { "mcp-session-id": options.session }),
        ...options.headers
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) })
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, message: lastMessage(text) }
  })

let ids = 0
export const rpc = (url: string, session: string | undefined, method: string, params: unknown = {}) =>
  request(url, "POST", { session, body: { jsonrpc: "2.0", id: ++ids, method, params } })

/** The handshake; succeeds with the session id, if the server gives one. */
export const open = Effect.fnUntraced(function* (url: string) {
  const answer = yield* rpc(url, undefined, "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "testkit", version: "1" }
  })
  const session = answer.headers.get("mcp-session-id") ?? undefined
  if (answer.status === 200)
    yield* request(url, "POST", { session, body: { jsonrpc: "2.0", method: "notifications/initialized" } })
  return { session, answer }
})

export const call = (url: string, session: string | undefined, { arguments: args, name }: Call) =>
  rpc(url, session, "tools/call", { name, arguments: args })

/** A request of MCP 2026-07-28, which needs no handshake. */
export const modern = (url: string, method: string, params: { readonly [key: string]: unknown; name?: string } = {}) =>
  request(url, "POST", {
    headers: {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(params.name === undefined ? {} : { "mcp-name": params.name })
    },
    body: {
      jsonrpc: "2.0",
      id: ++ids,
      method,
      params: {
        ...params,
        _meta: {
          "io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientInfo": { name: "testkit", version: "1" },
          "io.modelcontextprotocol/clientCapabilities": {}
        }
      }
    }
  })

/** The status and form of a GET, whose stream is closed at once. */
export const get = (url: string, session: string | undefined, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const controller = new AbortController()
    const response = await fetch(url, {
      signal: controller.signal,
      headers: {
        accept: "text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
        ...headers
      }
    })
    controller.abort()
    return response.status
  })
