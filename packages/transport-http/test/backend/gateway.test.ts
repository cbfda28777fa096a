import { assert, describe, it } from "@effect/vitest"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import { is, isRenewed, keep, text } from "./support.ts"

describe("a gateway that answers ping for a dead server", () => {
  it.live("is not Connected for longer than one failed call and one deep probe; its circuit opens, and it heals", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      yield* kept.call(server.echo("before"))
      yield* server.killBackend
      const error = yield* Effect.flip(kept.call(server.echo("lost")))
      assert.strictEqual(error._tag, "CallFailed")
      const unhealthy = yield* kept.until(is("Unhealthy"))
      assert(unhealthy._tag === "Unhealthy" && unhealthy.reason === "upstream")
      const deepProbes = kept.events.filter((event) => event._tag === "ProbeSent" && event.method === "list-tools")
      assert.strictEqual(deepProbes.length, 1)

      const open = yield* kept.until(is("CircuitOpen"))
      assert(open._tag === "CircuitOpen" && open.reason === "upstream")
      const rejected = yield* Effect.flip(kept.call(server.echo("rejected")))
      assert.include(["CallRejected", "SessionUnavailable"], rejected._tag)
      // ping alone never brings it back: a trial must pass the deep probe
      yield* kept.until((state) => state._tag === "CircuitOpen" && state.openings > 1)

      yield* server.restart
      yield* kept.until(isRenewed())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )

  it.live("never has a call run again that its dying server may have executed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(30), { idempotent: true })))
      yield* kept.proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.repeat(server.executions, { until: (executions) => executions.length > 0 })
      yield* server.killBackend
      yield* Effect.timeout(Fiber.join(call), "5 seconds")
      assert.strictEqual((yield* server.executions).length, 1)
    })
  )
})
