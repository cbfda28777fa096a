/** A server that becomes one of another era behind its URL. */
import { assert, describe, it } from "@effect/vitest"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { is, path } from "../backend/support.ts"
import { keep } from "./support.ts"

/** While the server starts, nothing is given up. */
const patient: KeepalivePolicy.Options = {
  circuit: "none",
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
        yield* kept.until(is("Connected"))
        yield* server.become(from)
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
