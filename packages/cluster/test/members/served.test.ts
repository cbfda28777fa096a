/** How soon backends come back that lost their process: as their servers see it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { make, type Replica, storage, until } from "../support/world.ts"

describe("backends whose process was killed", () => {
  it.live(
    "are served again within 2 s where the dead are declared so when they refuse, however long the lease is",
    () =>
      Effect.gen(function* () {
        const made = yield* make({
          storage: yield* storage,
          lease: 15_000,
          backends: 12,
          options: { declareDead: "refused" }
        })
        const settled = (...replicas: ReadonlyArray<Replica>) =>
          until(
            `${replicas.length} keep all`,
            made.owners(replicas[0]!),
            (owners) => owners.size === made.ids.length && new Set(owners.values()).size === replicas.length,
            60_000
          )
        const [killed, other] = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
        const owners = yield* settled(killed, other)
        const lost = [...owners].flatMap(([id, owner]) => (owner === killed.address ? [id] : []))
        assert.isAbove(lost.length, 0)
        const at = Date.now()
        yield* killed.signal("SIGKILL")
        yield* settled(other)
        const taken = made.farm.sessions().filter(({ from }) => from > at)
        const slowest = Math.max(...taken.map(({ from }) => from - at))
        console.log(`declared dead: ${lost.length} backends were served again within ${slowest} ms`)
        assert.sameMembers(
          taken.map(({ backend, replica }) => `${backend} ${replica}`),
          lost.map((id) => `${id} ${other.address}`)
        )
        assert.isBelow(slowest, 2000)
      })
  )
})
