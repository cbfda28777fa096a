/** What an operator has isolated, as those have it who keep it next. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Isolation from "../src/internal/isolation/Isolation.ts"
import { storages } from "./support/storage.ts"
import { make, type Replica, type Storage, until, type World } from "./support/world.ts"
import { clientOf } from "./support/client.ts"

const lease = 3000
/** where the storage is away for a while: it is not to be lost by that */
const longer = 10_000

const stateOf = (from: Replica, id: string) =>
  Effect.map(from.ask({ ask: "states" }), (states) => {
    const all = states as ReadonlyArray<readonly [string, string | null, string | null]>
    const [, owner, state] = all.find(([each]) => each === id) ?? []
    return { owner, state }
  })

/** Waits until all replicas see it kept by that one, in that state. */
const seen = (id: string, state: string, replicas: ReadonlyArray<Replica>, by: Replica) =>
  Effect.forEach(replicas, (from) =>
    until(
      `${id} is ${state} at ${by.address}`,
      stateOf(from, id),
      (found) => found.owner === by.address && found.state === state
    )
  )

const handshakes = ({ farm }: World, id: string) => farm.sessions().filter(({ backend }) => backend === id).length

/** Two replicas, and a backend with the one that keeps it. */
const begun = (storage: Storage, span = lease) =>
  Effect.gen(function* () {
    const backends = 12
    const world = yield* make({ storage, backends, lease: span })
    const both = yield* Effect.all([world.replica, world.replica], { concurrency: "unbounded" })
    const [one, two] = both
    const owners = yield* until(
      "each keeps some",
      world.owners(one),
      (found) => found.size === backends && new Set(found.values()).size === 2
    )
    const id = "backend-0"
    const [owner, other] = owners.get(id) === one.address ? [one, two] : [two, one]
    return { world, id, owner, other, replicas: both }
  })

for (const { missing, name, storage } of storages)
  describe.skipIf(missing !== undefined)(`an isolated backend, on ${missing ?? name}`, () => {
    it.live(
      "stays so with the next owner, which does not connect to it, and one after that, until it is reset",
      () =>
        Effect.gen(function* () {
          const { id, other, owner, replicas, world } = yield* begun(yield* storage)
          // from the process that does not keep it
          assert.strictEqual(yield* other.ask({ ask: "command", id, command: "isolate" }), "Isolated")
          yield* seen(id, "Isolated", replicas, owner)
          const before = handshakes(world, id)
          yield* owner.signal("SIGKILL")
          yield* seen(id, "Isolated", [other], other)
          // all others are connected again by then
          yield* until("the others are kept", world.owners(other), ({ size }) => size === world.ids.length - 1)
          assert.strictEqual(handshakes(world, id), before)

          // no process has it any more that was told
          yield* other.signal("SIGTERM")
          yield* other.exited
          const third = yield* world.replica
          yield* seen(id, "Isolated", [third], third)
          yield* until("the others are kept", world.owners(third), ({ size }) => size === world.ids.length - 1)
          assert.strictEqual(handshakes(world, id), before)

          assert.notStrictEqual(yield* third.ask({ ask: "command", id, command: "reset" }), "Isolated")
          yield* seen(id, "Connected", [third], third)
          assert.strictEqual(handshakes(world, id), before + 1)
          // and is not isolated with whoever comes after that
          yield* third.signal("SIGTERM")
          yield* third.exited
          const fourth = yield* world.replica
          yield* seen(id, "Connected", [fourth], fourth)
        }),
      120_000
    )

    it.live(
      "is not promised while the storage does not answer: the order fails within a moment, and nothing has changed",
      () =>
        Effect.gen(function* () {
          const database = yield* storage
          const { id, other, owner, replicas, world } = yield* begun(database, longer)
          const before = handshakes(world, id)
          const ask = (from: Replica, command: "isolate" | "reset") =>
            Effect.timeout(Effect.flip(from.ask({ ask: "command", id, command })), longer / 4)
          yield* database.signal("SIGSTOP")
          assert.strictEqual(yield* ask(owner, "isolate"), "StorageUnavailable")
          yield* database.signal("SIGCONT")
          yield* seen(id, "Connected", replicas, owner)
          assert.strictEqual(handshakes(world, id), before)

          // what is ordered after it counts
          assert.strictEqual(yield* other.ask({ ask: "command", id, command: "isolate" }), "Isolated")
          yield* database.signal("SIGSTOP")
          assert.strictEqual(yield* ask(other, "reset"), "StorageUnavailable")
          yield* database.signal("SIGCONT")
          yield* seen(id, "Isolated", replicas, owner)
          yield* owner.ask({ ask: "command", id, command: "reset" })
          yield* owner.signal("SIGTERM")
          yield* seen(id, "Connected", [other], other)
        }),
      120_000
    )

    it.live(
      "is another one when it was listed no longer in between, as in a fleet",
      () =>
        Effect.gen(function* () {
          const { id, owner, replicas, world } = yield* begun(yield* storage)
          yield* owner.ask({ ask: "command", id, command: "isolate" })
          const { [id]: _, ...rest } = world.backends
          const apply = (backends: World["backends"]) =>
            Effect.forEach(replicas, (replica) => replica.ask({ ask: "apply", backends }))
          yield* apply(rest)
          yield* apply(world.backends)
          yield* seen(id, "Connected", replicas, owner)
        }),
      120_000
    )

    it.live(
      "is in the storage once, and as it was where an order failed that may have been carried out after that",
      () =>
        Effect.gen(function* () {
          const database = yield* storage
          const context = yield* Layer.build(Layer.provideMerge(Isolation.layer, clientOf(database.port, 2)))
          const { of } = Context.get(context, Isolation.Isolation)
          const sql = Context.get(context, SqlClient.SqlClient)
          const rows = sql<{ readonly since: string }>`SELECT since FROM vmcp_keepalive_isolated`
          const [first, next, third] = yield* Effect.all([of("a"), of("a"), of("b")])
          assert.isFalse(yield* first.read)
          /** while the storage does not answer; it is done after that */
          const failing = (order: Effect.Effect<void, unknown>) =>
            Effect.gen(function* () {
              yield* database.signal("SIGSTOP")
              assert.isTrue(Exit.isFailure(yield* Effect.exit(order)))
              yield* database.signal("SIGCONT")
            })

          yield* failing(first.write)
          yield* first.remove
          yield* until("it is not isolated", rows, ({ length }) => length === 0)
          yield* first.write
          yield* first.write
          assert.isTrue(yield* next.read)
          assert.isFalse(yield* third.read)
          const [before] = yield* rows
          yield* failing(next.remove)
          yield* until("it is isolated anew", rows, ([row]) => row !== undefined && row.since !== before?.since)
          yield* next.remove
          assert.lengthOf(yield* rows, 0)
          // what is forgotten is no order that can fail: whoever looks once the storage answers finds nothing
          yield* next.write
          yield* database.signal("SIGSTOP")
          yield* next.forget
          assert.isTrue(Exit.isFailure(yield* Effect.exit(next.read)))
          yield* database.signal("SIGCONT")
          assert.deepStrictEqual(
            yield* until("the storage answers", Effect.exit(next.read), Exit.isSuccess),
            Exit.succeed(false)
          )
          yield* until("it is forgotten", rows, ({ length }) => length === 0)
          yield* next.write
          assert.lengthOf(yield* rows, 1)
          yield* next.forget
          assert.lengthOf(yield* rows, 0)
          // where there is nothing to be removed nobody is asked
          yield* database.signal("SIGSTOP")
          yield* third.remove
          yield* database.signal("SIGCONT")
        })
    )
  })
