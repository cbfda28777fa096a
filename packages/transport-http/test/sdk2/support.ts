/** Sessions and backends of the client of SDK 2.x, with real servers behind a fault proxy. */
import type { Client } from "@modelcontextprotocol/client"
import { Backend, type ConnectionState, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { FaultProxy, type McpServer } from "@vmcp-keepalive/testkit"
import { Effect, Stream } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { quick, quiet } from "../backend/support.ts"
import { type Host, makeHost, open, serve } from "../connector/support.ts"

type Options = Omit<HttpConnector.Options, "url">

/** A session with a server behind a fault proxy. */
export const openThroughProxy = Effect.fnUntraced(function* (
  server: { readonly port: number },
  options: Options = {},
  host: Host = makeHost(),
  before: (proxy: FaultProxy.FaultProxy) => Effect.Effect<unknown> = () => Effect.void
) {
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  yield* before(proxy)
  const opened = yield* open(HttpConnector.make({ url: `${proxy.url}/mcp`, ...options }), host)
  return { ...opened, proxy }
})

/** Keeps a server alive through a proxy; connected when it returns, unless told otherwise. */
export const keep = Effect.fnUntraced(function* (
  server: Pick<McpServer.McpServer, "port" | "name">,
  options: {
    readonly policy?: KeepalivePolicy.Options
    readonly connector?: Options
    readonly await?: boolean
    /** where the proxy connects to; read for each connection. Default: the server */
    readonly target?: { readonly port: number }
    readonly before?: (proxy: FaultProxy.FaultProxy) => Effect.Effect<unknown>
    readonly setup?: (client: Client) => Effect.Effect<unknown, unknown>
  } = {}
) {
  const proxy = yield* FaultProxy.make({ target: options.target ?? { port: server.port } })
  if (options.before) yield* options.before(proxy)
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend: Backend.Backend<Client> = yield* Backend.make({
    id: server.name,
    connector: HttpConnector.make({ url: `${proxy.url}/mcp`, ...options.connector }),
    policy: { ...quick, ...options.policy },
    setup: options.setup
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  if (options.await !== false) yield* backend.awaitConnected.pipe(Effect.timeout("20 seconds"), Effect.orDie)
  return {
    backend,
    proxy,
    events,
    until: (predicate: (state: ConnectionState.ConnectionState) => boolean) =>
      backend.changes.pipe(
        Stream.filter(predicate),
        Stream.runHead,
        Effect.flatMap((state) => Effect.orDie(Effect.fromOption(state))),
        Effect.timeout("15 seconds"),
        Effect.orDie
      ),
    call: (call: McpServer.Call, use?: Backend.UseOptions) =>
      backend.use((client, signal) => client.callTool(call, { signal }), use).pipe(Effect.timeout("30 seconds")),
    /** the era of the session that answers a call */
    era: backend.use(async (client) => {
      await client.callTool({ name: "echo", arguments: { message: "era" } })
      return client.getProtocolEra()
    })
  }
})

/** The JSON-RPC methods that reached the proxy, and the HTTP methods of requests without one. */
export const asked = (proxy: FaultProxy.FaultProxy) =>
  Effect.map(proxy.requests, (requests) => requests.map(({ method, rpcMethod }) => rpcMethod ?? method))

/** A server of the modern era that does as it is told with a subscription. */
export const scripted = (
  listen: Parameters<typeof serve>[0],
  /** answers what else is asked, where it likes to */
  answer: (id: unknown, response: ServerResponse) => boolean = () => false
) => {
  const began: Array<number> = []
  return Effect.map(
    serve((request, body, response) => {
      const { id, method } = JSON.parse(body)
      if (method === "subscriptions/listen") {
        began.push(id)
        return listen(request, body, response)
      }
      if (answer(id, response)) return
      response.writeHead(200, { "content-type": "application/json" })
      response.end(
        JSON.stringify({
          jsonrpc: "2.0",
          id,
          result: {
            resultType: "complete",
            supportedVersions: ["2026-07-28"],
            capabilities: { tools: { listChanged: true } },
            ttlMs: 0,
            cacheScope: "private"
          }
        })
      )
    }),
    (server) => ({ ...server, began })
  )
}

export const sse = { "content-type": "text/event-stream" }
export const say = (message: object) => `data: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`
export const acknowledgment = (id: unknown, notifications: object = { toolsListChanged: true }) => ({
  method: "notifications/subscriptions/acknowledged",
  params: { _meta: { "io.modelcontextprotocol/subscriptionId": id }, notifications }
})

/** An answer that says that there is no such method. */
export const unknown = (id: unknown, response: ServerResponse) =>
  void response
    .writeHead(200, { "content-type": "application/json" })
    .end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } }))

/** Keeps a server at a URL alive. */
export const keepAt = Effect.fnUntraced(function* (url: string, connect: "eager" | "lazy" = "eager") {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend: Backend.Backend<Client> = yield* Backend.make({
    id: "scripted",
    connector: HttpConnector.make({ url }),
    policy: { ...quiet, connect }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  if (connect === "eager") yield* Effect.orDie(backend.awaitConnected)
  return { backend, events }
})
