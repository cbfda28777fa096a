/** How many backends come back at a time that all lost their sessions: as their servers see it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { ReplicaOptions } from "../support/protocol.ts"
import type { Session } from "../support/farm.ts"
import { make, type Replica, type Storage, until, type World } from "../support/world.ts"
import { shared } from "../support/shared.ts"

const database = shared()

const settled = (world: World, replicas: ReadonlyArray<Replica>) =>
  until(
    `${replicas.length} keep all`,
    world.owners(replicas[0]!),
    (owners) => owners.size === world.ids.length && new Set(owners.values()).size === replicas.length,
    60_000
  )

const world = (options: {
  storage: Storage
  lease: number
  backends: number
  replicas: number
  options: ReplicaOptions
}) =>
  Effect.gen(function* () {
    const made = yield* make(options)
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

describe("backends that all lost their sessions, since the storage was away for longer than the lease", () => {
  const lease = 5000
  const frozen = Effect.suspend(() => database().signal("SIGSTOP")).pipe(
    Effect.andThen(Effect.sleep(lease * 2.5)),
    Effect.ensuring(Effect.suspend(() => database().signal("SIGCONT")))
  )
  const restarted = Effect.suspend(() => database().restart(lease * 2.5))
  for (const [how, absence] of [
    ["was frozen", frozen],
    ["crashed", restarted]
  ] as const)
    it.live(
      `since it ${how}: come back where they were, at the pace that was set for all processes together`,
      () =>
        Effect.gen(function* () {
          const originStarts = 6
          const thinking = 150
          const options = { originStarts, shards: 300 }
          const {
            owners,
            replicas,
            world: made
          } = yield* world({
            storage: database(),
            lease,
            backends: 60,
            replicas: 3,
            options
          })
          made.farm.think(thinking)
          const being = yield* Effect.forkChild(absence, { startImmediately: true })
          yield* until(
            "all are ended",
            Effect.sync(() => open(made).length),
            (count) => count === 0
          )
          const at = Date.now()
          yield* Fiber.join(being)
          const after = yield* settled(made, replicas)

          assert.deepStrictEqual(after, owners)
          const back = made.farm.sessions().filter(({ from }) => from > at)
          const most = mostAtOnce(back, thinking)
          const took = Math.max(...back.map(({ from }) => from)) - Math.min(...back.map(({ from }) => from))
          console.log(`it ${how}: ${back.length} came back within ${took} ms, ${most} at a time at most`)
          // none was elsewhere meanwhile
          assert.deepStrictEqual(
            back.filter(({ backend, replica }) => replica !== owners.get(backend)),
            []
          )
          // Each process alone would begin as many. On a busy machine some that began one after the other arrive at once.
          assert.isAtMost(most, originStarts * 2)
        }),
      150_000
    )
})
