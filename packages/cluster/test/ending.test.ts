/** A process that ends does so in time, whatever the others are like. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { make, type Replica, storage as pglite, until } from "./support/world.ts"

const lease = 4000
/** its drain, and what it takes besides */
const within = lease / 2 + 3000
/** where each question to the storage ends with its own bound */
const withoutStorage = 15_000

/** Two replicas, and one of them keeps backends that the other one listens to, and calls. */
const world = Effect.gen(function* () {
  const storage = yield* pglite
  const made = yield* make({ storage, backends: 12, lease })
  const [other, owner] = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
  const owners = yield* until(
    "both keep some",
    made.owners(other),
    (owners) => owners.size === made.ids.length && new Set(owners.values()).size === 2
  )
  const ids = [...owners].flatMap(([id, address]) => (address === owner.address ? [id] : []))
  yield* Effect.forEach(ids, (id) => other.ask({ ask: "call", id, tag: id }), { concurrency: "unbounded" })
  return { storage, other, owner, ids }
})

/** Calls under way of each, however they end. */
const calling = (from: Replica, ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (id) => Effect.forkChild(Effect.exit(from.ask({ ask: "call", id, tag: `again ${id}`, ms: 500 }))))

const endsWithin = (span: number, { exited }: Replica) =>
  Effect.map(Effect.timeoutOption(exited, span), (ended) => assert.isTrue(Option.isSome(ended), "it has not ended"))

describe("a process that is told to end", () => {
  it.live("does so while another one is frozen that listens to it", () =>
    Effect.gen(function* () {
      const { ids, other, owner } = yield* world
      yield* calling(other, ids)
      yield* other.signal("SIGSTOP")
      yield* owner.signal("SIGTERM")
      yield* endsWithin(within, owner)
      yield* other.signal("SIGCONT")
    })
  )

  it.live("does so while another one is killed that listens to it", () =>
    Effect.gen(function* () {
      const { ids, other, owner } = yield* world
      yield* calling(other, ids)
      yield* owner.signal("SIGTERM")
      yield* Effect.sleep(300)
      yield* other.signal("SIGKILL")
      yield* endsWithin(within, owner)
    })
  )

  it.live("does so while the storage does not answer", () =>
    Effect.gen(function* () {
      const { owner, storage } = yield* world
      yield* storage.signal("SIGSTOP")
      yield* owner.signal("SIGTERM")
      yield* endsWithin(withoutStorage, owner)
      yield* storage.signal("SIGCONT")
    })
  )

  it.live("does so while the storage is away", () =>
    Effect.gen(function* () {
      const { owner, storage } = yield* world
      const away = yield* Effect.forkChild(storage.restart(within + 2000), { startImmediately: true })
      yield* Effect.sleep(200)
      yield* owner.signal("SIGTERM")
      yield* endsWithin(within, owner)
      yield* Fiber.interrupt(away)
    })
  )
})
