/** What a backend costs that nobody calls, where nothing on the server lives for it alone: some bridges start a process for each request. */
import { assert, describe } from "@effect/vitest"
import { type McpServer, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { only } from "../backend/support.ts"
import { eventuallyEffect } from "../connector/support.ts"
import { asked, keep } from "../sdk2/support.ts"
import { leavingNothing } from "./leavingNothing.ts"

/** With each, how many requests it is reached by: the handshake, a call, and the lists that are read once. */
const servers = {
  "mcp-proxy before a modern child": [McpServers.mcpProxy({ backend: "modern" }), 5],
  "supergateway without sessions before a modern child": [
    McpServers.supergateway({ backend: "modern", stateful: false }),
    5
  ],
  "supergateway without sessions before a legacy child": [
    McpServers.supergateway({ backend: "small", stateful: false }),
    6
  ],
  "Effect's server, of both eras": [McpServers.effectMcpBoth, 3],
  "SDK 2's handler, of both eras": [McpServers.sdk2({ era: "dual" }), 5]
} as const

describe("a server that nobody calls for an hour is asked nothing in it", { timeout: 60_000 }, () => {
  const row = leavingNothing()

  for (const [name, [start, first]] of Object.entries(servers))
    row(name, () =>
      Effect.gen(function* () {
        const server: McpServer.McpServer = yield* start
        yield* Effect.gen(function* () {
          const kept = yield* keep(server, { await: false })
          yield* kept.backend.awaitConnected
          yield* kept.call(server.echo("before"))
          yield* TestClock.withLive(eventuallyEffect(Effect.map(asked(kept.proxy), ({ length }) => length === first)))
          yield* TestClock.withLive(eventuallyEffect(Effect.map(kept.proxy.stats, ({ inFlight }) => inFlight === 0)))
          yield* TestClock.adjust("1 hour")
          yield* kept.call(server.echo("after"))
          assert.deepStrictEqual((yield* asked(kept.proxy)).slice(first), ["tools/call"])
          assert.isEmpty(only(kept.events, "ProbeSent"))
          assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
        }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
      })
    )
})
