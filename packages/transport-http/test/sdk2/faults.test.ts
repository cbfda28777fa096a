/** A backend of the modern era whose server comes to harm. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { isDeepStrictEqual } from "node:util"
import { is, isRenewed } from "../backend/support.ts"
import { eventuallyEffect } from "../connector/support.ts"
import { asked, keep } from "./support.ts"

const echo = { name: "echo", arguments: { message: "hi" } }
const slow = (ms: number) => ({ name: "slow", arguments: { ms } })

const tools = (server: { readonly executions: Effect.Effect<ReadonlyArray<{ readonly tool: string }>> }) =>
  Effect.map(server.executions, (all) => all.map(({ tool }) => tool))

describe("a server of the modern era", { timeout: 90_000 }, () => {
  it.live("that nobody calls is not asked anything in an hour", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      yield* Effect.gen(function* () {
        const kept = yield* keep(server, { await: false })
        yield* kept.backend.awaitConnected
        yield* kept.call(echo)
        // the lists, which are read once
        yield* TestClock.withLive(eventuallyEffect(Effect.map(asked(kept.proxy), (all) => all.length === 5)))
        yield* TestClock.adjust("1 hour")
        yield* kept.call(echo)
        assert.deepStrictEqual((yield* asked(kept.proxy)).slice(5), ["tools/call"])
        assert.notInclude(
          kept.events.map(({ _tag }) => _tag),
          "ProbeSent"
        )
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
    }).pipe(Effect.scoped)
  )

  it.live("killed while nobody calls is found out by the next call, which is not run on its successor", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server, { policy: { waitForSession: "15 seconds", circuit: "none" } })
      yield* kept.call(echo)
      yield* server.kill
      // the proxy takes it, and may have handed it on
      assert.strictEqual((yield* Effect.flip(kept.call(slow(1))))._tag, "OutcomeUnknown")
      yield* kept.until(is("Disconnected", "Connecting"))
      yield* server.start
      yield* kept.call(echo)
      assert.deepStrictEqual(yield* tools(server), ["echo", "echo"])
    }).pipe(Effect.scoped)
  )

  it.live("killed under a call has an outcome that nobody knows, and the call is not run again", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server)
      const called = yield* Effect.forkChild(
        kept.backend.use((client) => client.callTool(slow(10_000), { onprogress: () => {} }))
      )
      yield* eventuallyEffect(Effect.map(tools(server), (all) => all.length === 1))
      yield* server.kill
      const error = yield* Effect.flip(Fiber.join(called))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      yield* server.start
      yield* kept.until(is("Connected"))
      yield* kept.call(echo)
      assert.deepStrictEqual(yield* tools(server), ["slow", "echo"])
    }).pipe(Effect.scoped)
  )

  it.live("frozen under a call is noticed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server, { policy: { interval: "1 second", inFlightGrace: "1 second" } })
      yield* kept.call(echo)
      yield* server.freeze
      const called = yield* Effect.forkChild(kept.backend.use((client) => client.callTool(slow(1))))
      yield* kept.until(is("Unhealthy"))
      yield* kept.until(is("Disconnected", "CircuitOpen", "Connecting"))
      yield* server.thaw
      yield* kept.until(isRenewed())
      assert.strictEqual((yield* Effect.flip(Fiber.join(called)))._tag, "OutcomeUnknown")
      yield* kept.call(echo)
      assert.isAtMost((yield* tools(server)).filter((tool) => tool === "slow").length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("that answers with a question and dies over the answer: the call is not run again", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const client = () => {
        const made = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } })
        made.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }))
        return made
      }
      const kept = yield* keep(server, { connector: { client } })
      const called = yield* Effect.forkChild(
        kept.backend.use((made) => made.callTool({ name: "ask", arguments: { ms: 10_000 } }))
      )
      yield* eventuallyEffect(Effect.map(tools(server), (all) => all.length === 2))
      yield* server.kill
      assert.strictEqual((yield* Effect.flip(Fiber.join(called)))._tag, "OutcomeUnknown")
      yield* server.start
      yield* kept.until(is("Connected"))
      yield* kept.call(echo)
      assert.deepStrictEqual(yield* tools(server), ["ask", "ask", "echo"])
    }).pipe(Effect.scoped)
  )

  it.live("whose calls are given up keeps no socket for them", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server, { policy: { interval: "30 seconds", timeout: "5 seconds" } })
      const caller = new AbortController()
      const calls = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 20 }, () =>
            Effect.exit(
              kept.backend.use((client) =>
                client.callTool(slow(20_000), { signal: caller.signal, onprogress: () => {} })
              )
            )
          ),
          { concurrency: "unbounded" }
        )
      )
      yield* eventuallyEffect(Effect.map(tools(server), (all) => all.length === 20))
      caller.abort(new Error("enough"))
      yield* Fiber.join(calls)
      yield* eventuallyEffect(Effect.map(kept.proxy.stats, ({ inFlight }) => inFlight === 0))
      assert.notInclude(yield* asked(kept.proxy), "notifications/cancelled")
      assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
    }).pipe(Effect.scoped)
  )

  it.live("whose list is served from the cache of the client while it is dead has given no sign of life", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ ttl: "1 minute" })
      const kept = yield* keep(server)
      yield* kept.backend.use((client) => client.listTools())
      yield* server.kill
      yield* kept.backend.use((client) => client.listTools())
      const failed = yield* Effect.exit(kept.backend.probe)
      assert.isTrue(Exit.isFailure(failed) || (yield* kept.backend.state)._tag !== "Connected")
    }).pipe(Effect.scoped)
  )

  for (const status of [400, 404, 429, 500, 503])
    it.live(`behind a proxy that says ${status} to one call keeps its session`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2()
        const kept = yield* keep(server)
        yield* kept.proxy.inject(Fault.Answer({ status, body: "no", on: { rpc: "tools/call" }, times: 1 }))
        const exit = yield* Effect.exit(kept.call(echo))
        assert.isTrue(Exit.isFailure(exit))
        yield* kept.call(echo)
        const state = yield* kept.backend.state
        assert.deepInclude(state, { _tag: "Connected", generation: 1 })
        assert.deepStrictEqual(yield* tools(server), ["echo"])
      }).pipe(Effect.scoped)
    )

  it.live("whose answer is cut has an outcome that nobody knows; cut before it began it is not run again", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server)
      yield* kept.proxy.inject(Fault.CutMidChunk({ on: { rpc: "tools/call" }, times: 1 }))
      const cut = yield* Effect.flip(kept.backend.use((client) => client.callTool(slow(600), { onprogress: () => {} })))
      assert.strictEqual(cut._tag, "OutcomeUnknown")
      yield* kept.proxy.inject(Fault.Reset({ on: { rpc: "tools/call" }, times: 1 }))
      assert.strictEqual((yield* Effect.flip(kept.call(slow(1))))._tag, "OutcomeUnknown")
      yield* kept.call(echo)
      const ran = yield* server.executions
      const times = (ms: number) => ran.filter(({ arguments: given }) => isDeepStrictEqual(given, { ms })).length
      assert.deepStrictEqual([times(600), times(1) <= 1], [1, true])
      assert.strictEqual(ran.at(-1)?.tool, "echo")
    }).pipe(Effect.scoped)
  )
})
