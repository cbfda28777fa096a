/**
 * Tool calls without a client: JSON-RPC bodies over undici's `dispatch`, answers parsed as JSON or as the last event of an
 * SSE stream. It checks no more than it must to tell an answer from a refusal: the least that a call can cost.
 */
import { Effect } from "effect"
import { Pool } from "undici"

export interface RawClient {
  /** Calls a tool; resolves with the message that answers. */
  readonly callTool: (name: string, args: Readonly<Record<string, unknown>>) => Promise<unknown>
}

/** Opens a session, without a standing stream; its connections are closed with the scope. */
export const make = (url: string) =>
  Effect.gen(function* () {
    const { origin, pathname } = new URL(url)
    // without undici's limits of five minutes, for calls that wait
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => new Pool(origin, { headersTimeout: 0, bodyTimeout: 0 })),
      (opened) => Effect.promise(() => opened.destroy())
    )
    const post = poster(pool, pathname)
    const opened = yield* Effect.promise(() =>
      post(headers, {
        jsonrpc: "2.0",
        id: 0,
        method: "initialize",
        params: { protocolVersion, capabilities: {}, clientInfo: { name: "raw", version: "0.0.0" } }
      })
    )
    const own = { ...headers, "mcp-session-id": opened.session, "mcp-protocol-version": protocolVersion }
    let id = 0
    const raw: RawClient = {
      callTool: async (name, args) => {
        const call = { jsonrpc: "2.0", id: ++id, method: "tools/call", params: { name, arguments: args } }
        return (await post(own, call)).message
      }
    }
    return raw
  })

const protocolVersion = "2025-11-25"
const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" }

interface Answer {
  readonly message: unknown
  readonly session: string
}

const poster =
  (pool: Pool, path: string) =>
  (requestHeaders: Readonly<Record<string, string>>, body: unknown): Promise<Answer> =>
    new Promise((resolve, reject) => {
      let text = ""
      let sse = false
      let session = ""
      pool.dispatch(
        { method: "POST", path, headers: requestHeaders, body: JSON.stringify(body) },
        {
          onRequestStart: () => {},
          onResponseStart: (_controller, status, answered) => {
            if (status !== 200) reject(new Error(`the server answers ${status}`))
            sse = answered["content-type"] === "text/event-stream"
            session = String(answered["mcp-session-id"])
          },
          onResponseData: (_controller, chunk) => {
            text += chunk.toString()
            if (!sse || !text.endsWith("\n\n")) return
            const data = dataOf(text)
            if (data !== "") resolve({ message: JSON.parse(data), session })
          },
          onResponseEnd: () => {
            if (!sse) resolve({ message: JSON.parse(text), session })
          },
          onResponseError: (_controller, error) => reject(error)
        }
      )
    })

/** The data of the last event; empty where that only carries an id. */
const dataOf = (stream: string): string => {
  const event = stream.trimEnd().split("\n\n").at(-1) ?? ""
  const lines = event.split("\n").filter((line) => line.startsWith("data:"))
  return lines.map((line) => line.slice(5).trim()).join("\n")
}
