/** A server that becomes one of another era behind its URL. */
import { assert, describe, it } from "@effect/vitest"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import { is, isRenewed, path } from "../backend/support.ts"
import { eventuallyEffect } from "../connector/support.ts"
import { keep } from "./support.ts"

/** While the server starts, nothing is given up; that it changes twice within seconds is no flapping here. */
const patient: KeepalivePolicy.Options = {
  circuit: "none",
  replayBudget: "none",
  waitForSession: "15 seconds",
  interval: "3 seconds",
  timeout: "2 seconds"
}

const pairs = [
  ["modern", "legacy", "legacy"],
  ["legacy", "modern", "modern"],
  ["dual", "legacy", "legacy"],
  ["dual", "modern", "modern"],
  ["modern", "dual", "modern"]
] as const

describe("a server that changes its era while nobody calls", { timeout: 90_000 }, () => {
  for (const [from, to, expected] of pairs)
    it.live(`from ${from} to ${to} and back: every call runs once, in the era of the server`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: from })
        const kept = yield* keep(server, { policy: patient })
        const before = yield* kept.era
        yield* server.become(to)
        assert.strictEqual(yield* kept.era, expected)
        const connected = yield* kept.until(is("Connected"))
        yield* server.become(from)
        // a server of both eras answers on the session that it does not know as well
        if (expected === "legacy" && from === "dual")
          yield* kept.until(isRenewed(connected._tag === "Connected" ? connected.generation : 0))
        assert.strictEqual(yield* kept.era, before)
        const ran = yield* server.executions
        assert.strictEqual(ran.length, 3)
      }).pipe(Effect.scoped)
    )

  it.live("from legacy to dual: the session is lost, though the server answers what is asked on it", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const kept = yield* keep(server, { policy: { ...patient, interval: "10 minutes" } })
      yield* kept.proxy.awaitRequest(({ method }) => method === "GET")
      assert.strictEqual(yield* kept.era, "legacy")
      yield* server.become("dual")
      yield* kept.until((state) => state._tag === "Connected" && state.generation > 1)
      assert.strictEqual(yield* kept.era, "modern")
      assert.include(path(kept.events), "Connected")
      yield* server.become("legacy")
      assert.strictEqual(yield* kept.era, "legacy")
    }).pipe(Effect.scoped)
  )
})

describe("a server that changes its era", { timeout: 90_000 }, () => {
  const slow = { name: "slow", arguments: { ms: 20_000 } }
  const ran = (server: { readonly executions: Effect.Effect<ReadonlyArray<{ readonly tool: string }>> }) =>
    Effect.map(server.executions, (all) => all.map(({ tool }) => tool))

  for (const [from, to, expected] of [...pairs, ["legacy", "dual", "modern"] as const])
    it.live(`under a call, from ${from} to ${to}: nobody knows its outcome, and it is not run again`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: from })
        const kept = yield* keep(server, { policy: patient })
        const called = yield* Effect.forkChild(
          kept.backend.use((client) => client.callTool(slow, { onprogress: () => {} }))
        )
        yield* eventuallyEffect(Effect.map(ran(server), (tools) => tools.length === 1))
        yield* server.become(to)
        assert.strictEqual((yield* Effect.flip(Fiber.join(called)))._tag, "OutcomeUnknown")
        yield* eventuallyEffect(
          Effect.match(kept.era, { onFailure: () => false, onSuccess: (era) => era === expected })
        )
        const all = yield* ran(server)
        assert.strictEqual(all.filter((tool) => tool === "slow").length, 1)
      }).pipe(Effect.scoped)
    )

  for (const [from, to, expected] of [...pairs, ["legacy", "dual", "modern"] as const])
    it.live(`during an attempt, from ${from} to ${to}: the call that waits runs once`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: from })
        const kept = yield* keep(server, {
          policy: patient,
          await: false,
          // the answer to the first question is late, and its server gone
          before: (proxy) =>
            proxy.inject(Fault.Delay({ each: "1 second", on: { rpc: ["server/discover", "initialize"] }, times: 1 }))
        })
        const era = yield* Effect.forkChild(kept.era)
        yield* kept.proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "server/discover")
        yield* server.become(to)
        assert.strictEqual(yield* Fiber.join(era), expected)
        assert.deepStrictEqual(yield* ran(server), ["echo"])
      }).pipe(Effect.scoped)
    )

  it.live("from legacy to modern while the old process ends its calls: they are answered by it", () =>
    Effect.gen(function* () {
      const [old, fresh] = [yield* McpServers.sdk2({ era: "legacy" }), yield* McpServers.sdk2({ era: "modern" })]
      let { port } = old
      const kept = yield* keep(old, {
        policy: { ...patient, interval: "10 seconds", timeout: "5 seconds" },
        // connections that there are stay with the old one
        target: {
          get port() {
            return port
          }
        }
      })
      const called = yield* Effect.forkChild(kept.call({ name: "slow", arguments: { ms: 4000 } }))
      yield* eventuallyEffect(Effect.map(ran(old), (tools) => tools.length === 1))
      port = fresh.port
      yield* kept.backend.probe
      yield* kept.until((state) => state._tag === "Connected" && state.generation > 1)
      assert.strictEqual(yield* kept.era, "modern")
      yield* Fiber.join(called)
      assert.deepStrictEqual([yield* ran(old), yield* ran(fresh)], [["slow"], ["echo"]])
    }).pipe(Effect.scoped)
  )

  it.live("from legacy to dual ends what is pinned to its session", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const kept = yield* keep(server, { policy: { ...patient, interval: "10 minutes" } })
      yield* kept.proxy.awaitRequest(({ method }) => method === "GET")
      const replaced = yield* Effect.flip(
        kept.backend.pinned((session) =>
          Effect.gen(function* () {
            yield* session.use((client) => client.callTool({ name: "echo", arguments: { message: "one" } }))
            yield* server.become("dual")
            yield* kept.until((state) => state._tag === "Connected" && state.generation > 1)
            yield* session.use((client) => client.callTool({ name: "echo", arguments: { message: "two" } }))
          })
        )
      )
      assert.strictEqual(replaced._tag, "SessionReplaced")
      assert.deepStrictEqual(yield* ran(server), ["echo"])
    }).pipe(Effect.scoped)
  )
})
