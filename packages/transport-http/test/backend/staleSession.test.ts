import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { McpServers, ScriptedServer, Fault, type McpServer } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Schedule } from "effect"
import { isRenewed, keep, path, text } from "./support.ts"

const servers = [
  ["server-everything, which says 400", McpServers.everything],
  ["mcp-proxy, which says 404", McpServers.mcpProxy({ backend: "small" })],
  ["supergateway, which says 404", McpServers.supergateway({ backend: "small" })],
  ["Effect's McpServer, which says 404 without a body", McpServers.effectMcp],
  ["a server that says 400", ScriptedServer.make({ staleSession: 400 })],
  ["a server that says 404", ScriptedServer.make({ staleSession: 404 })]
] as const

const messages = (server: McpServer.McpServer) =>
  Effect.map(server.executions, (executions) => executions.map(({ arguments: sent }) => text(sent)))

describe.each(servers)("a session that the server forgot: %s", (_, start) => {
  it.live("is replaced, and the call that it refused runs once, on the new one", () =>
    Effect.gen(function* () {
      const server = yield* start
      const kept = yield* keep(server, { policy: { interval: "1 hour", circuit: "none" } })
      yield* kept.call(server.echo("before"))
      yield* server.restart
      const result = yield* kept.call(server.echo("after"))
      assert.include(text(result), "after")
      assert.deepStrictEqual((yield* messages(server)).filter((message) => message.includes("after")).length, 1)
      assert.isTrue(isRenewed()(yield* kept.backend.state))
      const initializations = (yield* kept.proxy.requests).filter(({ rpcMethod }) => rpcMethod === "initialize")
      assert.isTrue(initializations.every(({ sessionId }) => sessionId === undefined))
    })
  )

  it.live("is found out by the next probe, without any call", () =>
    Effect.gen(function* () {
      const server = yield* start
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      yield* server.restart
      yield* kept.until(isRenewed())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )
})

describe.each([400, 404])("a server that lives and forgets its sessions, saying %s", (staleSession) => {
  it.live("gets a new one at once, without backoff and without an Unhealthy in between", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ staleSession })
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      yield* kept.call(server.echo("before"))
      yield* server.control(ScriptedServer.Control.ExpireSessions())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
      assert.deepStrictEqual(path(kept.events), ["Connected", "Connecting", "Connected"])
      assert.strictEqual((yield* server.executions).length, 2)
    })
  )

  it.live("lets a call in flight meet its own refusal, and the call runs once, on the new session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ staleSession })
      const kept = yield* keep(server, { policy: { interval: "1 hour", timeout: "10 seconds" } })
      yield* kept.call(server.echo("before"))
      const held = yield* kept.proxy.inject(Fault.Delay({ each: "1 hour", on: { rpc: "tools/call" }, times: 1 }))
      const call = yield* Effect.forkChild(kept.call(server.echo("after")), { startImmediately: true })
      yield* held.struck
      yield* server.control(ScriptedServer.Control.ExpireSessions())
      assert.deepStrictEqual(untimed(yield* kept.backend.probe), { _tag: "Connected", generation: 2 })
      yield* held.heal
      assert.include(text(yield* Fiber.join(call)), "after")
      assert.strictEqual((yield* server.executions).length, 2)
    })
  )
})

describe("an ordinary refusal", () => {
  it.live("400 to one call is the call's own failure and does not replace the session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* kept.proxy.inject(Fault.Answer({ status: 400, on: { rpc: "tools/call" }, times: 1 }))
      const error = yield* Effect.flip(kept.call(server.echo("refused")))
      assert.strictEqual(error._tag, "CallFailed")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      assert.deepStrictEqual(yield* server.executions, [])
      assert.include(text(yield* kept.call(server.echo("next"))), "next")
    })
  )

  it.live("404 to the standing stream is doubted, and nothing happens where the session still lives", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, {
        policy: { interval: "1 hour" },
        before: (proxy) => proxy.inject(Fault.Answer({ status: 404, on: { method: "GET" }, times: 1 }))
      })
      const { at: struck } = yield* kept.proxy.struck
      yield* kept.proxy.awaitRequest(({ at, rpcMethod }) => rpcMethod === "ping" && at > struck)
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  it.live("404 to DELETE and to OPTIONS means nothing, nor does it to one call: the session gets its DELETE", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { probe: "options" } })
      const refusing = yield* kept.proxy.inject(Fault.Answer({ status: 404, on: { method: ["OPTIONS", "DELETE"] } }))
      yield* kept.backend.probe
      const refusingOne = yield* kept.proxy.inject(Fault.Answer({ status: 404, on: { rpc: "tools/call" }, times: 1 }))
      yield* Effect.flip(kept.call(server.echo("refused")))
      yield* refusingOne.struck
      yield* kept.backend.reconnect
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 2 })
      yield* kept.proxy.awaitRequest(({ method }) => method === "DELETE")
      yield* refusing.heal
      yield* kept.backend.reconnect
      yield* Effect.repeat(server.stats, {
        until: ({ deletes }) => deletes === 1,
        schedule: Schedule.spaced("10 millis")
      })
    })
  )
})
