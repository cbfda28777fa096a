/** Sessions and backends of the client of SDK 2.x, with real servers behind a fault proxy. */
import type { Client } from "@modelcontextprotocol/client"
import { Backend, type ConnectionState, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { FaultProxy, type McpServer } from "@vmcp-keepalive/testkit"
import { Effect, Stream } from "effect"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { quick } from "../backend/support.ts"
import { type Host, makeHost, open } from "../connector/support.ts"

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
