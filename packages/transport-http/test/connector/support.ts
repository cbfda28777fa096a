/** The connector driven through its port, without the core: a host that remembers everything, and sessions on it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import type { Connector, Evidence, KeepaliveEvent } from "@vmcp-keepalive/core"
import { FaultProxy } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Schedule, Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { HttpConnector } from "../../src/index.ts"

/** A `SessionHost` that remembers. */
export interface Host extends Connector.SessionHost {
  readonly observed: Array<Evidence.Evidence>
  readonly notices: Array<{ readonly notice: KeepaliveEvent.Notice; readonly at: number }>
  readonly losses: Array<string>
  readonly bytesSeen: () => number
}

export const makeHost = (subscriptions: Iterable<string> = []): Host => {
  const observed: Array<Evidence.Evidence> = []
  const notices: Host["notices"] = []
  const losses: Array<string> = []
  let chunks = 0
  return {
    observed,
    notices,
    losses,
    bytesSeen: () => chunks,
    alive: () => {
      chunks++
      return performance.now()
    },
    observe: (evidence) => void observed.push(evidence),
    output: () => {},
    lost: (reason) => void losses.push(reason),
    notice: (notice) => void notices.push({ notice, at: performance.now() }),
    listChanged: () => {},
    subscriptions: new Set(subscriptions),
    era: { legacyUntil: undefined }
  }
}

/** A client that remembers the log messages it gets. */
export const listening = () => {
  const got: Array<unknown> = []
  const client = () => {
    const made = new Client({ name: "test", version: "1" })
    made.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void got.push(params.data))
    return made
  }
  return { got, client }
}

const everyFew = Schedule.spaced("5 millis")

/** Waits until something holds; dies after 20 s. */
export const eventually = (predicate: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (predicate() ? Effect.void : Effect.fail("not yet" as const))).pipe(
    Effect.retry({ while: () => true, schedule: everyFew }),
    Effect.timeout("20 seconds"),
    Effect.orDie
  )

/** The same for what only an effect can tell. */
export const eventuallyEffect = <E>(predicate: Effect.Effect<boolean, E>): Effect.Effect<void> =>
  predicate.pipe(
    Effect.flatMap((holds) => (holds ? Effect.void : Effect.fail("not yet" as const))),
    Effect.retry({ while: () => true, schedule: everyFew }),
    Effect.timeout("20 seconds"),
    Effect.orDie
  )

/** A session, its host, and a way to end it before the test does. */
export interface Opened<C = Client> {
  readonly session: Connector.Session<C>
  readonly host: Host
  readonly close: Effect.Effect<void>
}

/** Opens a session in a scope of its own, closed with the test's at the latest. */
export const open = <C, R>(connector: Connector.Connector<C, R>, host: Host = makeHost()) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const session = yield* connector.open(host).pipe(Effect.provideService(Scope.Scope, scope))
    const opened: Opened<C> = { session, host, close: Scope.close(scope, Exit.void) }
    return opened
  })

/** A session with a server behind a fault proxy. */
export const openThroughProxy = Effect.fnUntraced(function* (
  server: { readonly port: number },
  options: Omit<HttpConnector.Options, "url"> = {},
  host: Host = makeHost()
) {
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  const opened = yield* open(HttpConnector.make({ url: `${proxy.url}/mcp`, ...options }), host)
  return { ...opened, proxy }
})

/** A plain HTTP server for what no MCP server does. */
export const serve = (handler: (request: Http.IncomingMessage, body: string, response: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly port: number
      readonly sockets: () => number
      readonly server: Http.Server
    }>((resume) => {
      let sockets = 0
      const server = Http.createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => handler(request, Buffer.concat(parts).toString(), response))
      })
      server.on("connection", (socket) => {
        sockets++
        socket.on("close", () => sockets--)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}/mcp`, port, sockets: () => sockets, server }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

/** Runs a call through a session's view; how it ended, after how long, and its records. */
export const run = <C, A>(session: Connector.Session<C>, f: (client: C, signal: AbortSignal) => Promise<A>) =>
  Effect.gen(function* () {
    const began = performance.now()
    const call = session.call()
    const result = yield* Effect.tryPromise({ try: (signal) => f(call.client, signal), catch: (error) => error }).pipe(
      Effect.exit
    )
    const at = performance.now()
    // the client forgets a request that failed in a turn of its own
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    return { result, requests: call.requests, took: at - began, at }
  })

/** What a server of ours answers to `initialize`. */
export const initializeResult = (id: unknown, protocolVersion = "2025-11-25") =>
  JSON.stringify({
    jsonrpc: "2.0",
    id,
    result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "test", version: "1" } }
  })

export const measured = (name: string, milliseconds: number) =>
  console.log(`measured: ${name}: ${milliseconds.toFixed(1)} ms`)
