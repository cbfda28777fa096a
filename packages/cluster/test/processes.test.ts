/** Which processes there are and what each has, as the storage has it, while they come, die and freeze. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ClusterBackends } from "../src/index.ts"
import * as World from "./support/world.ts"

interface Seen extends Omit<ClusterBackends.Process, "left"> {
  readonly left: number | null
}

const lease = 3000

describe("the processes of a cluster", () => {
  it.live(
    "are told by each of them: what they keep, for how long yet, and those that died or stand still no longer",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make({ storage: yield* World.storage, backends: 12, lease })
        const [one, two] = yield* Effect.all([world.replica, world.replica], { concurrency: "unbounded" })
        const addresses = [one.address, two.address].toSorted()
        const look = (from: World.Replica) =>
          Effect.map(from.ask({ ask: "processes" }), (seen) => seen as ReadonlyArray<Seen>)
        const isDivided = (seen: ReadonlyArray<Seen>) =>
          seen.length === 2 &&
          seen.every(({ backends }) => backends.length > 0) &&
          seen.flatMap(({ backends }) => backends).length === 12
        const seen = yield* World.until("both keep their share", look(one), isDivided)
        assert.deepStrictEqual(
          seen.map(({ address }) => address),
          addresses
        )
        assert.deepStrictEqual(seen.flatMap(({ backends }) => backends).toSorted(), world.ids.toSorted())
        for (const { address, isHealthy, isHere, left } of seen) {
          assert.deepStrictEqual([isHere, isHealthy], [address === one.address, true])
          // refreshed six times a lease
          assert.isAbove(left ?? 0, lease / 2)
          assert.isAtMost(left ?? 0, lease)
        }
        // the owners that the processes themselves tell
        const owners = yield* World.until("all connected", world.owners(two), (found) => found.size === 12)
        for (const { address, backends } of yield* World.until("still divided", look(two), isDivided))
          for (const id of backends) assert.strictEqual(owners.get(id), address)

        yield* two.signal("SIGSTOP")
        yield* World.until(
          "the other one has everything",
          look(one),
          (all) => all.find(({ isHere }) => isHere)?.backends.length === 12
        )
        yield* two.signal("SIGKILL")
        yield* two.exited
        const last = yield* World.until("one is left", look(one), (all) => all.length === 1)
        assert.deepStrictEqual(
          last.map(({ address, isHere }) => [address, isHere]),
          [[one.address, true]]
        )
      })
  )
})
