/**
 * MCP servers on the SDK's own transport, one for each path `/<id>`, each of which allows one session at a time: it refuses another `initialize` until
 * a DELETE has ended the one before.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export interface Opened {
  readonly backend: string
  readonly replica: string
  readonly at: number
  /** when a DELETE ended it, and whose that was */
  ended: { readonly by: string; readonly at: number } | undefined
}

export interface SingleSession {
  readonly url: (id: string) => string
  /** the sessions so far, in their order */
  readonly opened: () => ReadonlyArray<Opened>
  /** whose sessions were refused */
  readonly refused: () => ReadonlyArray<Pick<Opened, "backend" | "replica" | "at">>
  /** ids of the sessions so far, which nobody else is to learn */
  readonly sessionIds: () => ReadonlyArray<string>
}

export const make: Effect.Effect<SingleSession, never, Scope.Scope> = Effect.gen(function* () {
  const opened: Array<Opened> = []
  const sessionIds: Array<string> = []
  const refused: Array<Pick<Opened, "backend" | "replica" | "at">> = []
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const replicaOf = ({ headers }: Http.IncomingMessage) => String(headers["x-replica"])

  const begin = async (backend: string, request: Http.IncomingMessage) => {
    const server = new McpServer({ name: backend, version: "1" })
    server.registerTool("work", {}, () => ({ content: [{ type: "text", text: backend }] }))
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => {
        sessionIds.push(id)
        opened.push({ backend, replica: replicaOf(request), at: Date.now(), ended: undefined })
      },
      onsessionclosed: () => void transports.delete(backend)
    })
    transports.set(backend, transport)
    // `exactOptionalPropertyTypes` sees more in the interface than the SDK does
    await server.connect(transport as Transport)
    return transport
  }
  const handle = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const backend = (request.url ?? "").slice(1)
    const known = transports.get(backend)
    if (known === undefined && request.method !== "POST") return void response.writeHead(404).end()
    const session = opened.findLast((one) => one.backend === backend)
    await (known ?? (await begin(backend, request))).handleRequest(request, response)
    if (request.method === "POST" && response.statusCode === 400)
      refused.push({ backend, replica: replicaOf(request), at: Date.now() })
    if (request.method === "DELETE" && session !== undefined && !transports.has(backend))
      session.ended = { by: replicaOf(request), at: Date.now() }
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const made = Http.createServer((request, response) => void handle(request, response))
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.callback<void>((resume) => {
        made.close(() => resume(Effect.void))
        made.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    url: (id) => `http://127.0.0.1:${port}/${id}`,
    opened: () => opened,
    refused: () => refused,
    sessionIds: () => sessionIds
  }
})
