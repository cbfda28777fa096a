/** How soon backends come back that lost their process, and how many of them at a time: as their servers see it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { ReplicaOptions } from "../support/protocol.ts"
import type { Session } from "../support/farm.ts"
import { make, type Replica, storage, type Storage, until, type World } from "../support/world.ts"

const scope = Scope.makeUnsafe()
let database: Storage
beforeAll(async () => {
  database = await Effect.runPromise(Scope.provide(storage, scope))
}, 60_000)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const settled = (world: World, replicas: ReadonlyArray<Replica>) =>
  until(
    `${replicas.length} keep all`,
    world.owners(replicas[0]!),
    (owners) => owners.size === world.ids.length && new Set(owners.values()).size === replicas.length
  )

const world = (options: { lease: number; backends: number; replicas: number; options: ReplicaOptions }) =>
  Effect.gen(function* () {
    const made = yield* make({ ...options, storage: database })
    const replicas = yield* Effect.all(
      Array.from({ length: options.replicas }, () => made.replica),
      { concurrency: "unbounded" }
    )
    return { world: made, replicas, owners: yield* settled(made, replicas) }
  })

const open = ({ farm }: World) => farm.sessions().filter(({ ended }) => ended === undefined)

/** How many servers thought about an `initialize` at the same time at most. */
const mostAtOnce = (sessions: ReadonlyArray<Session>, thinking: number) =>
  Math.max(...sessions.map(({ from: at }) => sessions.filter(({ from }) => from <= at && at < from + thinking).length))

describe("backends whose process was killed", () => {
  it.live(
    "are served again within 2 s where the dead are declared so when they refuse, however long the lease is",
    () =>
      Effect.gen(function* () {
        const {
          owners,
          replicas,
          world: made
        } = yield* world({
          lease: 15_000,
          backends: 12,
          replicas: 2,
          options: { declareDead: "refused" }
        })
        const [killed, other] = replicas as [Replica, Replica]
        const lost = [...owners].flatMap(([id, owner]) => (owner === killed.address ? [id] : []))
        assert.isAbove(lost.length, 0)
        const at = Date.now()
        yield* killed.signal("SIGKILL")
        yield* settled(made, [other])
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

describe("backends that all lost their sessions, since the storage was away for longer than the lease", () => {
  it.live(
    "come back with it, each to where it was, no more of one origin at a time than was set for all",
    () =>
      Effect.gen(function* () {
        const originStarts = 6
        const thinking = 150
        const {
          owners,
          replicas,
          world: made
        } = yield* world({
          lease: 4000,
          backends: 60,
          replicas: 3,
          options: { originStarts }
        })
        made.farm.think(thinking)
        yield* database.signal("SIGSTOP")
        yield* until(
          "all are ended",
          Effect.sync(() => open(made).length),
          (count) => count === 0
        )
        yield* Effect.sleep("6 seconds")
        const at = Date.now()
        yield* database.signal("SIGCONT")
        const after = yield* settled(made, replicas)

        assert.deepStrictEqual(after, owners)
        const back = made.farm.sessions().filter(({ from }) => from > at)
        const most = mostAtOnce(back, thinking)
        const took = Math.max(...back.map(({ from }) => from)) - Math.min(...back.map(({ from }) => from))
        console.log(`${back.length} came back within ${took} ms, ${most} at a time at most`)
        // each once: none was handed over again
        assert.strictEqual(back.length, made.ids.length)
        assert.isAtMost(most, originStarts)
        assert.isAtLeast(took, (made.ids.length / originStarts - 1) * thinking)
      }).pipe(Effect.ensuring(Effect.suspend(() => database.signal("SIGCONT")))),
    90_000
  )
})
