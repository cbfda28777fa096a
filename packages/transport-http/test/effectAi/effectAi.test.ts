/** A client whose methods are Effects, behind a backend: Effect's own `McpClient`, on real servers. */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Backend, type BackendError } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, type McpServer, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Context, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { McpClient, McpClientError, McpSchema } from "effect/ai"
import { quick } from "../backend/support.ts"
import * as EffectAi from "./connector.ts"

class Name extends Context.Service<Name, string>()("test/Name") {}

const keep = Effect.fnUntraced(function* (port: number) {
  const backend = yield* Backend.make({
    id: "effect-ai",
    connector: EffectAi.make(`http://127.0.0.1:${port}/mcp`),
    policy: { ...quick, interval: "1 hour", circuit: "none" }
  }).pipe(Effect.provide(yield* Layer.build(NodeHttpClient.layerUndici)))
  yield* backend.awaitConnected
  return backend
})

const begin = Effect.fnUntraced(function* (behaviour: Parameters<typeof ScriptedServer.make>[0] = {}) {
  const server = yield* ScriptedServer.make(behaviour)
  const proxy = yield* FaultProxy.make({ target: server })
  return { backend: yield* keep(proxy.port), proxy, server }
})

const call =
  (name: string, args: Readonly<Record<string, unknown>> = {}) =>
  (client: McpClient.McpClient) =>
    client.callTool({ tool: new McpSchema.Tool({ name, inputSchema: { type: "object" } }), arguments: args })
const echo = (message: string) => call("echo", { message })

const text = (result: McpSchema.CallToolResult) => JSON.stringify(result.content)
const executed = (server: McpServer.McpServer) => Effect.map(server.executions, (all) => all.map(({ tool }) => tool))
const generation = (backend: Backend.Backend<McpClient.McpClient>) =>
  Effect.map(backend.state, (state) => (state._tag === "Connected" ? state.generation : undefined))

describe.each(["sse", "json"] as const)("a backend whose client is Effect's McpClient, answered as %s", (answers) => {
  it.live("gives what a tool answers, and fails with its error and with the server's in their own type", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* begin({ answers })
      assert.include(text(yield* backend.use(echo("hello"))), "Echo: hello")
      assert.isTrue((yield* backend.use(call("fail"))).isError)
      const failed = yield* Effect.flip(
        backend.use((client) => {
          const tool = new McpSchema.Tool({ name: "fail", inputSchema: { type: "object" } })
          return client.callTool({ tool, schema: McpSchema.CallToolResult })
        })
      )
      assert(failed._tag === "McpClientError")
      assert.strictEqual(failed.reason._tag, "ToolError")
      const refused = yield* Effect.flip(backend.use(call("rpcError", { code: -32602 })))
      assert(refused._tag === "McpClientError" && refused.reason._tag === "ProtocolError")
      assert.strictEqual(refused.reason.code, -32602)
      assert.deepStrictEqual(yield* executed(server), ["echo", "fail", "fail", "rpcError"])
      assert.strictEqual(yield* generation(backend), 1)
    })
  )

  it.live("has a call whose answer was cut fail as one of unknown outcome, executed once", () =>
    Effect.gen(function* () {
      const { backend, proxy, server } = yield* begin({ answers })
      yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "tools/call" }, after: 1, times: 1 }))
      const cut = yield* Effect.flip(backend.use(echo("once")))
      assert(cut._tag === "OutcomeUnknown")
      assert.strictEqual(cut.reason, "stream_cut")
      assert.deepStrictEqual(yield* executed(server), ["echo"])
    })
  )

  it.live("runs a call again once, on a new session, that was refused as of one that the server forgot", () =>
    Effect.gen(function* () {
      const { backend, proxy, server } = yield* begin({ answers })
      yield* server.control(ScriptedServer.Control.ExpireSessions())
      assert.include(text(yield* backend.use(echo("after"))), "after")
      assert.deepStrictEqual(yield* executed(server), ["echo"])
      assert.strictEqual(yield* generation(backend), 2)
      const calls = (yield* proxy.requests).filter(({ rpcMethod }) => rpcMethod === "tools/call")
      assert.strictEqual(new Set(calls.map(({ sessionId }) => sessionId)).size, 2)
      assert.strictEqual(calls.length, 2)
    })
  )
})

describe("a backend whose client is Effect's McpClient", () => {
  it.live("runs a call on the next generation where nobody listened, and the server comes back", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const backend = yield* keep(server.port)
      yield* server.kill
      const waiting = yield* Effect.forkChild(backend.use(echo("after")), { startImmediately: true })
      yield* backend.changes.pipe(
        Stream.filter(({ _tag }) => _tag === "Disconnected"),
        Stream.runHead
      )
      yield* server.start
      assert.include(text(yield* Fiber.join(waiting)), "after")
      assert.deepStrictEqual(yield* executed(server), ["echo"])
      assert.isAbove((yield* generation(backend)) ?? 0, 1)
    })
  )

  it.live("does not repeat a call whose server was killed under it, and works on the next generation", () =>
    Effect.gen(function* () {
      const { backend, proxy, server } = yield* begin()
      const lost = yield* Effect.forkChild(Effect.flip(backend.use(call("slow", { ms: 60_000 }))), {
        startImmediately: true
      })
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.repeat(server.executions, { until: (all) => all.length === 1, schedule: Schedule.spaced(10) })
      yield* server.restart
      assert.strictEqual((yield* Fiber.join(lost))._tag, "OutcomeUnknown")
      assert.include(text(yield* backend.use(echo("after"))), "after")
      assert.deepStrictEqual(yield* executed(server), ["slow", "echo"])
      assert.strictEqual(yield* generation(backend), 2)
    })
  )

  it.live("keeps what two calls at once have made apart, though their client is one", () =>
    Effect.gen(function* () {
      const { backend, proxy, server } = yield* begin()
      yield* proxy.inject(Fault.Answer({ on: { rpc: "tools/list" }, status: 422 }))
      const slow = yield* Effect.forkChild(backend.use(call("slow", { ms: 300 })), { startImmediately: true })
      const listed = yield* Effect.flip(backend.use((client) => client.listTools()))
      assert(listed._tag === "CallFailed")
      assert.strictEqual(listed.reason, "http_4xx")
      assert.strictEqual(listed.code, 422)
      assert(McpClientError.isMcpClientError(listed.cause))
      assert.include(text(yield* Fiber.join(slow)), "done")
      assert.deepStrictEqual(yield* executed(server), ["slow"])
    })
  )

  it.live("interrupts the request when its caller is interrupted, and stays connected", () =>
    Effect.gen(function* () {
      const { backend, proxy } = yield* begin()
      const fiber = yield* Effect.forkChild(backend.use(call("slow", { ms: 60_000 })), { startImmediately: true })
      const sent = yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Fiber.interrupt(fiber)
      const cancelled = yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "notifications/cancelled")
      assert.strictEqual(cancelled.sessionId, sent.sessionId)
      yield* Effect.repeat(proxy.stats, { until: ({ inFlight }) => inFlight === 0, schedule: Schedule.spaced(10) })
      assert.strictEqual(yield* generation(backend), 1)
      assert.include(text(yield* backend.use(echo("after"))), "after")
    })
  )

  it.live("gives its callback the services of its caller, and has its errors in its type", () =>
    Effect.gen(function* () {
      const { backend } = yield* begin()
      const greet: Effect.Effect<
        McpSchema.CallToolResult,
        McpClientError.McpClientError | BackendError.CallError,
        Name
      > = backend.use((client) => Effect.flatMap(Name, (name) => echo(name)(client)))
      assert.include(text(yield* Effect.provideService(greet, Name, "Ada")), "Echo: Ada")
    })
  )

  it.live("has a toolkit made and used within one call", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* begin()
      const results = yield* backend.use(
        Effect.fnUntraced(function* (client) {
          const toolkit = yield* McpClient.toolkit(client, "remote__")
          return yield* Stream.runCollect(yield* toolkit.handle("remote__echo", { message: "by name" }))
        })
      )
      assert.deepStrictEqual(
        results.map(({ result }) => result),
        ["Echo: by name"]
      )
      assert.deepStrictEqual(yield* executed(server), ["echo"])
    })
  )

  it.live("is asked by probes, which see a frozen server and a forgotten session", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* begin()
      assert.strictEqual((yield* backend.probe)._tag, "Connected")
      yield* server.control(ScriptedServer.Control.ExpireSessions())
      yield* backend.probe
      yield* backend.awaitConnected
      assert.strictEqual(yield* generation(backend), 2)
      yield* server.freeze
      assert.notStrictEqual((yield* backend.probe)._tag, "Connected")
      yield* server.thaw
      yield* backend.awaitConnected
    })
  )

  it.live("ends its session with a DELETE when its scope closes", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* Effect.scoped(keep(server.port))
      assert.strictEqual((yield* server.stats).deletes, 1)
    })
  )
})

describe("a backend whose client is Effect's McpClient, with a server of both eras", () => {
  const beginModern = Effect.gen(function* () {
    const server = yield* McpServers.effectMcpBoth
    const proxy = yield* FaultProxy.make({ target: server })
    return { backend: yield* keep(proxy.port), proxy, server }
  })

  it.live("speaks the modern one, in which it is probed by server/discover and no session is terminated", () =>
    Effect.gen(function* () {
      const { backend, proxy } = yield* beginModern
      yield* backend.probe
      assert.include(text(yield* backend.use(echo("hello"))), "Echo: hello")
      const sent = (yield* proxy.requests).map(({ rpcMethod }) => rpcMethod)
      assert.sameMembers([...new Set(sent)], ["server/discover", "tools/call", "tools/list"])
    })
  )

  it.live("does not repeat a call whose server was killed under it, and works on the next generation", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* beginModern
      const lost = yield* Effect.forkChild(Effect.flip(backend.use(call("slow", { ms: 60_000 }))), {
        startImmediately: true
      })
      yield* Effect.repeat(server.executions, { until: (all) => all.length === 1, schedule: Schedule.spaced(10) })
      yield* server.restart
      assert.strictEqual((yield* Fiber.join(lost))._tag, "OutcomeUnknown")
      assert.include(text(yield* backend.use(echo("after"))), "after")
      assert.deepStrictEqual(yield* executed(server), ["slow", "echo"])
    })
  )

  it.live.each([400, 404, 408, 425, 429, 500, 502, 503])(
    "does not take a status %i in front of the server for its word on the era",
    (status) =>
      Effect.gen(function* () {
        const server = yield* McpServers.effectMcpBoth
        const proxy = yield* FaultProxy.make({ target: server })
        yield* proxy.inject(Fault.Answer({ on: { rpc: "server/discover" }, status, times: 1 }))
        const backend = yield* keep(proxy.port)
        assert.include(text(yield* backend.use(echo("after"))), "after")
        assert.notInclude(
          (yield* proxy.requests).map(({ rpcMethod }) => rpcMethod),
          "initialize"
        )
      })
  )
})
