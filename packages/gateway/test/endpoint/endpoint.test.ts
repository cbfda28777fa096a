/** A gateway on a port: who reaches it, what outlives it, and what it bears. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Fleet } from "@vmcp-keepalive/core"
import { KeptPeer } from "@vmcp-keepalive/host"
import { McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, HttpPeerTransport, type Peer } from "@vmcp-keepalive/transport-http/peer"
import { Context, Effect, Exit, Layer, Option, Redacted, Schedule, Scope, Stream } from "effect"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { request } from "node:http"
import { connect } from "node:net"
import { Endpoint, Gateway } from "../../src/index.ts"

const policy = { interval: "1 second", timeout: "400 millis", waitForSession: "8 seconds" } as const

/** A gateway of one backend, on any port, until the scope closes. */
const serving = (url: string, options: Partial<Endpoint.ServeOptions> = {}) =>
  Effect.gen(function* () {
    const fleet = yield* Effect.provide(Fleet.make<Peer.Peer>(), HttpPeerTransport.layer())
    const gateway = Gateway.Gateway.of({
      open: (deliver) =>
        Effect.orDie(KeptPeer.make({ id: "test", connector: HttpPeerConnector.make({ url }), policy }, deliver)),
      show: () => Effect.void,
      operate: () => Effect.succeed(Option.none()),
      calls: Stream.empty,
      conflicts: Effect.succeed([])
    })
    const built = yield* Layer.build(
      Layer.provide(
        Endpoint.serve({ fleet, port: 0, ...options }, Layer.empty),
        Layer.succeed(Gateway.Gateway, gateway)
      )
    )
    return { fleet, ...Context.get(built, Endpoint.Address) }
  })

const connected = (transport: StreamableHTTPClientTransport) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {} } })
      // its `sessionId` may be undefined, which exact optional types do not allow
      await client.connect(transport as Transport)
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )

/** The status of a request with these headers, as they are. */
const statusOf = (port: number, path: string, headers: Record<string, string>, body = "") =>
  Effect.callback<number>((resume) => {
    const asked = request({ port, host: "127.0.0.1", path, method: "POST", headers }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode ?? 0))
    })
    asked.on("error", () => {})
    asked.end(body)
  })

const json = { "content-type": "application/json", accept: "application/json, text/event-stream" }
const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" })

describe("an endpoint on a port", () => {
  it.live("answers its own machine and those with its token; others are refused", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { port, mcp } = yield* serving(server.url, { token: Redacted.make("secret") })
      const bearer = { authorization: "Bearer secret" }
      assert.strictEqual(yield* statusOf(port, "/mcp", { ...json, host: "evil.example", ...bearer }, ping), 403)
      assert.strictEqual(
        yield* statusOf(port, "/mcp", { ...json, origin: "http://evil.example", ...bearer }, ping),
        403
      )
      assert.strictEqual(yield* statusOf(port, "/mcp", json, ping), 401)
      assert.strictEqual(yield* statusOf(port, "/elsewhere", json, ping), 404)
      assert.strictEqual(yield* statusOf(port, "/mcp", { ...json, ...bearer, "mcp-session-id": "forged" }, ping), 404)
      const large = { ...json, ...bearer, "content-length": String(64 * 1024 * 1024) }
      assert.strictEqual(yield* statusOf(port, "/mcp", large), 413)
      const transport = new StreamableHTTPClientTransport(new URL(mcp), { requestInit: { headers: bearer } })
      const client = yield* connected(transport)
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.include(
        tools.map(({ name }) => name),
        "echo"
      )
    })
  )

  it.live("tells a platform that it works, and whether what is required is there", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { fleet, origin } = yield* serving(server.url)
      const get = (path: string) =>
        Effect.promise(async () => {
          const response = await fetch(`${origin}${path}`)
          return [response.status, await response.text()] as const
        })
      assert.deepStrictEqual(yield* get("/healthz"), [200, "ok\n"])
      assert.deepStrictEqual(yield* get("/readyz"), [200, JSON.stringify({ ready: true, missing: [] })])
      const add = (id: string, required: boolean, url: string) =>
        fleet.add({ id, connector: HttpPeerConnector.make({ url }), policy: { ...policy, required } })
      const gone = "http://127.0.0.1:9/mcp"
      yield* add("optional", false, gone)
      const there = yield* add("there", true, server.url)
      yield* there.awaitConnected
      assert.strictEqual((yield* get("/readyz"))[0], 200)
      yield* add("needed", true, gone)
      const [status, body] = yield* get("/readyz")
      assert.strictEqual(status, 503)
      assert.deepStrictEqual(
        JSON.parse(body).missing.map(({ backend }: { readonly backend: string }) => backend),
        ["needed"]
      )
    })
  )

  it.live("keeps the session of a host when it is gone and there is another one with its key", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const key = Redacted.make<Uint8Array>(randomBytes(32))
      const first = yield* Scope.make()
      const { port, mcp } = yield* Scope.provide(serving(server.url, { key }), first)
      const transport = new StreamableHTTPClientTransport(new URL(mcp))
      const client = yield* connected(transport)
      const id = transport.sessionId
      const tools = () => Effect.promise(async () => (await client.listTools()).tools.length)
      const listed = yield* tools()
      yield* Scope.close(first, Exit.void)
      yield* serving(server.url, { key, port })
      // those that need a client which can sample are among them: it was initialized with the host's own words
      assert.strictEqual(yield* tools(), listed)
      assert.strictEqual(transport.sessionId, id)
      const { content } = yield* Effect.promise(() => client.callTool({ name: "echo", arguments: { message: "x" } }))
      assert.deepStrictEqual(content, [{ type: "text", text: "Echo: x" }])
    })
  )

  it.live(
    "ends what a host has at the servers that went away without a word, and goes on with it when it comes back",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const key = Redacted.make<Uint8Array>(randomBytes(32))
        const { mcp } = yield* serving(server.url, { key, idleTimeout: "300 millis" })
        const post = (body: string, id?: string) =>
          Effect.promise(async () => {
            const headers = id === undefined ? json : { ...json, "mcp-session-id": id }
            const response = await fetch(mcp, { method: "POST", headers, body })
            await response.text()
            return response
          })
        // it has a stream
        const listening = yield* connected(new StreamableHTTPClientTransport(new URL(mcp)))
        const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "silent", version: "1" } }
        const initialized = yield* post(JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }))
        const id = initialized.headers.get("mcp-session-id") ?? ""
        yield* post(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }), id)
        const until = (holds: (stats: ScriptedServer.Stats) => boolean) =>
          server.stats.pipe(
            Effect.repeat({ until: holds, schedule: Schedule.spaced("20 millis") }),
            Effect.timeout("10 seconds")
          )
        // those that have begun, whether or not they have ended since
        const begun = (count: number) => until(({ byRpcMethod }) => byRpcMethod["initialize"] === count)
        yield* begun(2)
        yield* until(({ sessions }) => sessions === 1)
        const back = yield* post(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }), id)
        assert.strictEqual(back.status, 200)
        yield* begun(3)
        assert.isNotEmpty((yield* Effect.promise(() => listening.listTools())).tools)
      })
  )

  it.live("serves others beside a thousand clients that never finish their request", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { mcp, port } = yield* serving(server.url)
      yield* Effect.forEach(
        Array.from({ length: 1000 }),
        () =>
          Effect.acquireRelease(
            Effect.promise(async () => {
              const socket = connect(port, "127.0.0.1")
              socket.on("error", () => {})
              await once(socket, "connect")
              socket.write("POST /mcp HTTP/1.1\r\nHost: localhost\r\n")
              return socket
            }),
            (socket) => Effect.sync(() => socket.destroy())
          ),
        { concurrency: 100, discard: true }
      )
      const client = yield* connected(new StreamableHTTPClientTransport(new URL(mcp)))
      const { content } = yield* Effect.promise(() => client.callTool({ name: "echo", arguments: { message: "x" } }))
      assert.deepStrictEqual(content, [{ type: "text", text: "Echo: x" }])
    })
  )
})
