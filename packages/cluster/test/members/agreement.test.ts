/** What all processes with one storage have to have alike. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "@vmcp-keepalive/core"
import { Context, Duration, Effect, Exit, Layer, Logger, Scope } from "effect"
import { RunnerAddress, RunnerStorage, ShardId } from "effect/cluster"
import { SqlClient } from "effect/sql"
import * as Agreement from "../../src/internal/members/agreement.ts"
import { pglite, type Storage, storages } from "../support/storage.ts"
import { clientOf } from "../support/client.ts"
import { member } from "../support/member.ts"

const lease = 3000

const refusedFor = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Exit.isFailure(exit)
    ? exit.cause.reasons.flatMap((reason) => ("error" in reason ? [reason.error] : []))
    : []
  return error.flatMap((one) =>
    one instanceof BackendError.ConfigurationError
      ? one.issues.map(({ expected, path }) => `${path.join(".")}: ${expected}`)
      : [String(one)]
  )
}

for (const { missing, name, storage } of storages)
  describe.skipIf(missing !== undefined)(`processes with one storage, on ${missing ?? name}`, () => {
    it.live("are refused where they have another number of shards, or another lease, with a word on each", () =>
      Effect.gen(function* () {
        const options = { storage: yield* storage, lease, backends: {} }
        yield* member({ ...options, shards: 20 })
        yield* member({ ...options, shards: 20 })
        const other = yield* Effect.exit(Effect.scoped(member({ ...options, lease: 4000, shards: 30 })))
        const alike = "as the other processes with this storage have it, until all of them have ended, and their leases"
        assert.deepStrictEqual(refusedFor(other), [`shards: 20, ${alike}`, `lease: 3s, ${alike}`])
      })
    )

    it.live("have the same lease also where that is no whole number of milliseconds", () =>
      Effect.gen(function* () {
        const options = { storage: yield* storage, lease: 10_000 / 3, backends: {} }
        yield* member(options)
        yield* member(options)
      })
    )

    it.live("may have others once all have ended, and their leases", () =>
      Effect.gen(function* () {
        const options = { storage: yield* storage, lease, backends: {} }
        yield* Effect.scoped(member({ ...options, shards: 20 }))
        // one may have begun that has no lease yet
        const early = yield* Effect.exit(Effect.scoped(member({ ...options, shards: 30 })))
        assert.lengthOf(refusedFor(early), 1)
        yield* Effect.sleep(lease)
        yield* member({ ...options, shards: 30 })
        const before = yield* Effect.exit(Effect.scoped(member({ ...options, shards: 20 })))
        assert.lengthOf(refusedFor(before), 1)
      })
    )

    it.live("that begin at once with different settings do not both begin", () =>
      Effect.gen(function* () {
        const options = { storage: yield* storage, lease, backends: {} }
        const scope = yield* Scope.Scope
        const begun = yield* Effect.forEach(
          [10, 20, 30, 40],
          (shards) => Effect.exit(Scope.provide(member({ ...options, shards }), scope)),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(begun.filter(Exit.isSuccess), 1)
        for (const exit of begun) if (Exit.isFailure(exit)) assert.match(refusedFor(exit).join(), /^shards: \d0, /)
      })
    )
  })

describe("what a process has taken", () => {
  const shard = ShardId.make("default", 1)
  const address = RunnerAddress.RunnerAddress.make({ host: "10.0.0.1", port: 1 })

  /** A process on that storage whose shards are given to it at once; how often it has given them back. */
  const taking = ({ port }: Storage) =>
    Effect.gen(function* () {
      const given = { back: 0 }
      const engine = Layer.effect(
        RunnerStorage.RunnerStorage,
        Effect.map(RunnerStorage.makeMemory, (memory) => ({
          ...memory,
          acquire: () => Effect.succeed([shard]),
          releaseAll: () => Effect.sync(() => void given.back++)
        }))
      )
      const context = yield* Layer.build(
        Agreement.layer({ shards: 20, lease: Duration.seconds(3) }, "vmcp_keepalive").pipe(
          Layer.provide(engine),
          Layer.provideMerge(clientOf(port)),
          Layer.provide(Logger.layer([]))
        )
      )
      const { acquire } = Context.get(context, RunnerStorage.RunnerStorage)
      return {
        given,
        sql: Context.get(context, SqlClient.SqlClient),
        acquire: Effect.provideContext(acquire(address, [shard]), context)
      }
    })

  it.live("is given back where the settings were changed before: as by others, while it was frozen", () =>
    Effect.gen(function* () {
      const { acquire, given, sql } = yield* taking(yield* pglite)
      assert.deepStrictEqual(yield* acquire, [shard])
      yield* sql`UPDATE vmcp_keepalive_settings SET shards = 30`
      assert.deepStrictEqual(yield* acquire, [])
      assert.strictEqual(given.back, 1)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.live(
    "is not known where the storage does not answer: the question has an end, and its connection is for others again",
    () =>
      Effect.gen(function* () {
        const storage = yield* pglite
        const { acquire } = yield* taking(storage)
        yield* storage.signal("SIGSTOP")
        const error = yield* Effect.flip(Effect.timeout(acquire, "3 seconds"))
        assert.strictEqual(error._tag, "PersistenceError")
        yield* storage.signal("SIGCONT")
        assert.deepStrictEqual(yield* acquire, [shard])
      })
  )
})
