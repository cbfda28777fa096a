/** Effect's `McpClient` through what happens to servers: what it notices, and what the servers have executed. */
import { assert, describe, it } from "@effect/vitest"
import { Leftovers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Exit, Fiber, Layer, Result, Schedule, Scope } from "effect"
import { McpClient, McpClientError, McpProtocol } from "effect/ai"
import { FetchHttpClient } from "effect/http"
import { KeptMcpClient } from "../../src/effectAi.ts"
import * as Support from "./support.ts"

const { begin, begun, call, echo, executed, generation, slow, told } = Support

/** The client that notices: Effect's own transport, on the same server. */
const bare = Effect.fnUntraced(function* (port: number) {
  const transport = yield* McpClient.http({ url: `http://127.0.0.1:${port}/mcp`, protocol: McpProtocol.v2025_11_25 })
  return yield* Effect.provideService(McpClient.make(Support.identity), McpClient.Transport, transport)
}, Effect.provide(FetchHttpClient.layer))

const forkCall = (...[client, ...rest]: Parameters<typeof call>) =>
  Effect.forkChild(call(client, ...rest), { startImmediately: true })

/** For how long a call that says nothing excuses a server that does not answer probes. */
const frozenSoon = { inFlightGrace: "500 millis" } as const

type Trouble = (server: ScriptedServer.ScriptedServer) => Effect.Effect<unknown, unknown>

/** What happens to a server between two calls; afterwards it is there. */
const between: Record<string, Trouble> = {
  "was killed and started again": (server) => server.restart,
  "forgot the session and says so with 404": (server) => server.control(ScriptedServer.Control.ExpireSessions()),
  "forgot the session and says so with 400": (server) =>
    Effect.andThen(
      server.control(ScriptedServer.Control.Configure({ behaviour: { staleSession: 400 } })),
      server.control(ScriptedServer.Control.ExpireSessions())
    )
}

describe.each(Object.entries(between))("a server that %s", (_, trouble) => {
  it.live("is nothing that the client notices; on Effect's own transport each later call fails", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const unkept = yield* bare(server.port)
      yield* call(client, echo("1"))
      yield* trouble(server)
      assert.strictEqual(yield* call(client, echo("2")), "Echo: 2")
      assert.strictEqual(yield* call(client, echo("3")), "Echo: 3")
      assert.strictEqual(yield* generation(client), 2)
      assert.deepStrictEqual(yield* executed(server), ["echo", "echo", "echo"])
      assert.isTrue(Result.isFailure(yield* Effect.result(call(unkept, echo("4")))))
      assert.isTrue(Result.isFailure(yield* Effect.result(call(unkept, echo("5")))))
    })
  )
})

describe("a client on a kept connection", () => {
  it.live("has calls wait for a server that is down, and run once", () =>
    Effect.gen(function* () {
      // not through the proxy, which takes a call before it knows that nobody is behind it
      const server = yield* ScriptedServer.make()
      const client = yield* Support.connect(Support.settings(server.port))
      yield* server.kill
      const waiting = yield* forkCall(client, echo("after"))
      yield* Support.untilState(client, "Disconnected")
      yield* server.start
      assert.strictEqual(yield* Fiber.join(waiting), "Echo: after")
      assert.deepStrictEqual(yield* executed(server), ["echo"])
    })
  )

  it.live("is told of a call whose server was killed under it that its outcome is unknown, and it ran once", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const unkept = yield* bare(server.port)
      const calling = yield* forkCall(client, slow(60_000))
      const callingUnkept = yield* forkCall(unkept, slow(60_000))
      yield* begun(server, 2)
      yield* server.restart
      const error = yield* Effect.flip(Fiber.join(calling))
      assert.deepStrictEqual(told(error), ["OutcomeUnknown", "unknown"])
      assert.notMatch(error.message, /fetch failed|connection closed|not connected|http \d/i)
      assert.strictEqual(yield* call(client, echo("after")), "Echo: after")
      assert.strictEqual((yield* Effect.flip(Fiber.join(callingUnkept))).reason._tag, "TransportError")
      assert.strictEqual((yield* Effect.flip(call(unkept, echo("after")))).reason._tag, "ClosedError")
      assert.deepStrictEqual(yield* executed(server), ["slow", "slow", "echo"])
    })
  )

  it.live(
    "is told the same of a server that froze in a call, and works when it has thawed; Effect's own waits on",
    () =>
      Effect.gen(function* () {
        const { client, server } = yield* begin({ policy: frozenSoon })
        const unkept = yield* bare(server.port)
        const calling = yield* forkCall(client, slow(60_000))
        const callingUnkept = yield* forkCall(unkept, slow(60_000))
        yield* begun(server, 2)
        yield* server.freeze
        assert.deepStrictEqual(told(yield* Effect.flip(Fiber.join(calling))), ["OutcomeUnknown", "unknown"])
        const waiting = yield* forkCall(client, echo("after"))
        yield* server.thaw
        assert.strictEqual(yield* Fiber.join(waiting), "Echo: after")
        assert.isUndefined(callingUnkept.pollUnsafe())
        assert.deepStrictEqual(yield* executed(server), ["slow", "slow", "echo"])
      })
  )

  it.live("is told by an open circuit at once that nothing was executed, and when to try again", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin({ policy: { circuit: { failures: 1, openFor: "2 seconds" } } })
      yield* server.kill
      yield* Support.untilState(client, "CircuitOpen")
      const error = yield* Effect.flip(call(client, echo("rejected")))
      assert.deepStrictEqual(told(error), ["CallRejected", "no"])
      assert.isNumber(KeptMcpClient.dataOf(error)?.retryAfter)
      yield* server.start
      // as an application does it: only what was not executed is made again
      const again = Effect.retry(call(client, echo("again")), {
        while: (error) => KeptMcpClient.dataOf(error)?.executed === "no",
        schedule: Schedule.spaced("50 millis")
      })
      assert.strictEqual(yield* again, "Echo: again")
      assert.deepStrictEqual(yield* executed(server), ["echo"])
    })
  )

  it.live("gets what the server itself fails with as it is, and an error result as a result", () =>
    Effect.gen(function* () {
      const { client } = yield* begin()
      const error = yield* Effect.flip(call(client, { name: "rpcError", arguments: { code: -32602 } }))
      assert(error.reason._tag === "ProtocolError")
      assert.deepStrictEqual([error.reason.code, error.reason.description], [-32602, "as asked"])
      assert.isUndefined(KeptMcpClient.dataOf(error))
      assert.strictEqual(yield* call(client, { name: "fail", arguments: {} }), "it failed")
    })
  )

  it.live("is made when its server comes, and fails typed where it does not come in time", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.kill
      const options = Support.settings(server.port, { initializeTimeout: "400 millis" })
      const transport = yield* KeptMcpClient.transport(options)
      const make = Effect.provideService(KeptMcpClient.make(Support.identity), KeptMcpClient.Transport, transport)
      assert.deepStrictEqual(told(yield* Effect.flip(make)), ["SessionUnavailable", "no"])
      yield* server.start
      // the same transport: it was not initialized
      const client = yield* Effect.retry(make, Schedule.recurs(10))
      assert.strictEqual(client.serverInfo?.name, "testkit-scripted")
      assert.strictEqual(yield* call(client, echo("hello")), "Echo: hello")

      yield* server.kill
      const starting = yield* Effect.forkChild(Support.connect(Support.settings(server.port)), {
        startImmediately: true
      })
      yield* server.start
      assert.strictEqual(yield* call(yield* Fiber.join(starting), echo("late")), "Echo: late")
    })
  )

  it.live("is the only one on its transport: a second one is refused, and the first goes on", () =>
    Effect.gen(function* () {
      const { server } = yield* begin()
      const layer = KeptMcpClient.layerTransport(Support.settings(server.port))
      yield* Effect.gen(function* () {
        // on the tag of Effect's own
        const client = yield* McpClient.make(Support.identity)
        const error = yield* Effect.flip(McpClient.make(Support.identity))
        assert(error.reason._tag === "ProtocolError")
        assert.strictEqual(error.reason.code, -32600)
        assert.strictEqual(yield* call(client, echo("first")), "Echo: first")
      }).pipe(Effect.provide(layer))
    })
  )

  it.live("fails with what is wrong in the settings, and sends nothing", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const wrong = { ...Support.settings(server.port), id: "", initializeTimeout: 0 }
      const error = yield* Effect.flip(Effect.scoped(Support.connect(wrong)))
      assert(error._tag === "ConfigurationError")
      assert.sameMembers(
        error.issues.map(({ path }) => path.join(".")),
        ["id", "initializeTimeout"]
      )
      assert.deepStrictEqual(yield* server.requests, [])
    })
  )
})

describe("a call that its caller gives up", () => {
  const rows = {
    "by interruption": (calling: Fiber.Fiber<unknown, unknown>) => Fiber.interrupt(calling),
    "by its own timeout": (calling: Fiber.Fiber<unknown, unknown>) => Fiber.await(calling)
  }
  it.live.each(Object.entries(rows))("%s ends at the server alone: the session and other calls go on", ([how, give]) =>
    Effect.gen(function* () {
      const { client, proxy, server } = yield* begin()
      const other = yield* forkCall(client, slow(1500))
      yield* begun(server)
      const timeout = how === "by its own timeout" ? { timeout: 200 } : {}
      const calling = yield* forkCall(client, slow(60_000), timeout)
      yield* begun(server, 2)
      yield* give(calling)
      const exit = yield* Fiber.await(calling)
      if (how === "by interruption") assert.isTrue(Exit.hasInterrupts(exit))
      else assert.strictEqual(reasonOf(exit), "TimeoutError")
      const sent = yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "notifications/cancelled")
      const calls = (yield* proxy.requests).filter(({ rpcMethod }) => rpcMethod === "tools/call")
      assert.deepStrictEqual(new Set(calls.map(({ sessionId }) => sessionId)), new Set([sent.sessionId]))
      assert.strictEqual(yield* Fiber.join(other), "done")
      assert.strictEqual(yield* generation(client), 1)
      assert.deepStrictEqual(yield* executed(server), ["slow", "slow"])
      assert.strictEqual((yield* server.stats).byRpcMethod["notifications/cancelled"], 1)
    })
  )

  it.live("at a frozen server ends at once; on Effect's own transport that takes 5 s", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin({ policy: { interval: "1 hour" } })
      const unkept = yield* bare(server.port)
      const ofKept = yield* forkCall(client, slow(60_000))
      const ofUnkept = yield* forkCall(unkept, slow(60_000))
      yield* begun(server, 2)
      yield* server.freeze
      const [took] = yield* Effect.timed(Fiber.interrupt(ofKept))
      const [tookUnkept] = yield* Effect.timed(Fiber.interrupt(ofUnkept))
      assert.isBelow(Duration.toMillis(took), 1000)
      assert.isAbove(Duration.toMillis(tookUnkept), 4000)
      yield* server.thaw
    })
  )
})

const reasonOf = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" && McpClientError.isMcpClientError(error.value) ? error.value.reason._tag : undefined
}

describe("the end of the scope", () => {
  it.live("fails what is under way and what comes later as closed, ends the session and leaves nothing", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const leftovers = yield* Leftovers.make()
      const scope = yield* Scope.make()
      const transport = yield* Scope.provide(KeptMcpClient.transport(Support.settings(server.port)), scope)
      // The client outlives its transport.
      const client = yield* Effect.provideService(
        KeptMcpClient.make(Support.identity),
        KeptMcpClient.Transport,
        transport
      )
      const calling = yield* forkCall(client, slow(60_000))
      yield* begun(server)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(reasonOf(yield* Fiber.await(calling)), "ClosedError")
      assert.strictEqual(reasonOf(yield* Effect.exit(call(client, echo("late")))), "ClosedError")
      const notify = transport.notify({ jsonrpc: "2.0", method: "notifications/roots/list_changed" })
      assert.strictEqual(reasonOf(yield* Effect.exit(notify)), "ClosedError")
      assert.deepStrictEqual(yield* executed(server), ["slow"])
      assert.strictEqual((yield* server.stats).deletes, 1)
      yield* leftovers.check
    })
  )
})

describe("a client of a child process", () => {
  it.live("does not notice that the child was killed while idle", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const client = yield* Support.beginStdio(server)
      const pid = Number(yield* call(client, { name: "pid", arguments: {} }))
      process.kill(pid, "SIGKILL")
      yield* Support.until(Effect.map(generation(client), (now) => (now ?? 0) > 1))
      assert.strictEqual(yield* call(client, echo("after")), "Echo: after")
      assert.deepStrictEqual(yield* executed(server), ["pid", "echo"])
    })
  )

  it.live("is told that the outcome of a call is unknown under which the child was killed, and it ran once", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const client = yield* Support.beginStdio(server)
      const error = yield* Effect.flip(call(client, { name: "kill", arguments: {} }))
      assert.deepStrictEqual(told(error), ["OutcomeUnknown", "unknown"])
      assert.strictEqual(yield* call(client, echo("after")), "Echo: after")
      assert.deepStrictEqual(yield* executed(server), ["kill", "echo"])
    })
  )

  it.live("is told the same of a child that froze in a call, and has another child", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const client = yield* Support.beginStdio(server, frozenSoon)
      const pid = Number(yield* call(client, { name: "pid", arguments: {} }))
      const calling = yield* forkCall(client, slow(60_000))
      yield* begun(server, 2)
      process.kill(pid, "SIGSTOP")
      assert.deepStrictEqual(told(yield* Effect.flip(Fiber.join(calling))), ["OutcomeUnknown", "unknown"])
      assert.strictEqual(yield* call(client, echo("after")), "Echo: after")
      assert.deepStrictEqual(yield* executed(server), ["pid", "slow", "echo"])
      assert.strictEqual(yield* server.starts, 2)
    })
  )

  it.live("cancels a call alone: the child and other calls go on", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const client = yield* Support.beginStdio(server)
      const other = yield* forkCall(client, slow(800))
      const calling = yield* forkCall(client, slow(60_000))
      yield* begun(server, 2)
      yield* Fiber.interrupt(calling)
      yield* Fiber.join(other)
      assert.strictEqual(yield* server.starts, 1)
      assert.deepStrictEqual(yield* executed(server), ["slow", "slow"])
    })
  )
})

// what Layer.build would hide: both tags are one object
it.live("the layer provides the client for Effect's tag and for its own", () =>
  Effect.gen(function* () {
    const server = yield* ScriptedServer.make()
    const layer = KeptMcpClient.layer({ ...Support.settings(server.port), ...Support.identity })
    yield* Effect.gen(function* () {
      assert.strictEqual<McpClient.McpClient>(yield* McpClient.McpClient, yield* KeptMcpClient.KeptMcpClient)
    }).pipe(Effect.provide(Layer.fresh(layer)))
  })
)
