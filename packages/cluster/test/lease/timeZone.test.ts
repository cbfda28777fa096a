/** Leases where the clock on the wall is put forward or back, as the time zone of the database has it twice a year. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardId, ShardingConfig, SqlRunnerStorage } from "effect/cluster"
import { SqlClient } from "effect/sql"
import * as ClusterOptions from "../../src/ClusterOptions.ts"
import { configOf } from "../../src/internal/engine/sharding.ts"
import * as Tables from "../../src/internal/engine/tables.ts"
import { shared } from "../support/shared.ts"
import { make, type Replica, until, type World } from "../support/world.ts"
import { clientOf } from "../support/client.ts"

const lease = 3000
const [before, forward, back] = ["Etc/GMT+0", "Etc/GMT-1", "Etc/GMT+1"]

/** It has one session for all connections. */
const database = shared()

const client = Layer.unwrap(Effect.sync(() => clientOf(database().port, 2)))

const setTimeZone = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(`SET TimeZone = '${name}'`)).pipe(Effect.provide(client))

describe("a lease", () => {
  const runner = (host: string) =>
    Runner.Runner.make({
      address: RunnerAddress.RunnerAddress.make({ host, port: 1 }),
      groups: ["default"],
      weight: 1
    })
  const [one, two] = [runner("10.0.0.1"), runner("10.0.0.2")]
  const shards = [ShardId.make("default", 1), ShardId.make("default", 2)]

  const storage = (prefix: string, tables: typeof Tables.layer | undefined) =>
    Layer.unwrap(
      Effect.map(ClusterOptions.resolve({ address: "10.0.0.1:1", lease }), (settings) =>
        SqlRunnerStorage.layerWith({ prefix }).pipe(
          Layer.provide(ShardingConfig.layer(configOf(settings))),
          Layer.provide(tables?.(prefix) ?? Layer.empty)
        )
      )
    ).pipe(Layer.provideMerge(client))

  it.live("is as long whichever way that clock is put", () =>
    Effect.gen(function* () {
      const engine = yield* RunnerStorage.RunnerStorage
      yield* setTimeZone(before)
      yield* engine.register(one, true)
      yield* engine.acquire(one.address, shards)
      yield* setTimeZone(forward)
      assert.lengthOf(yield* engine.getRunners, 1)
      assert.deepStrictEqual(yield* engine.acquire(two.address, shards), [])
      yield* setTimeZone(back)
      const taken = engine.acquire(two.address, shards)
      yield* until("it has run out", taken, ({ length }) => length === shards.length, 2 * lease)
      assert.lengthOf(yield* engine.getRunners, 0)
    }).pipe(Effect.provide(storage("zone", Tables.layer)), Effect.ensuring(Effect.ignore(setTimeZone(before))))
  )

  it.live("is in a table like the engine's own, but for its time", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Layer.build(storage("own", undefined)))
      yield* Effect.scoped(Layer.build(storage("ours", Tables.layer)))
      const sql = yield* SqlClient.SqlClient
      const columnsOf = (prefix: string) =>
        sql<{ readonly table_name: string; readonly data_type: string; readonly column_default: string | null }>`
          SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
          FROM information_schema.columns WHERE table_name LIKE ${`${prefix}\\_%`} ORDER BY table_name, ordinal_position`
      const constraintsOf = (prefix: string) =>
        sql<{ readonly is: string }>`
          SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) AS is FROM pg_constraint
          WHERE conrelid::regclass::text LIKE ${`${prefix}\\_%`} ORDER BY 1`
      const text = (rows: unknown) => JSON.stringify(rows, undefined, 1)
      const own = text([yield* columnsOf("own"), yield* constraintsOf("own")])
      assert.include(own, "acquired_at")
      assert.strictEqual(
        text([yield* columnsOf("ours"), yield* constraintsOf("ours")]).replaceAll("ours_", "own_"),
        own.replaceAll("timestamp without time zone", "timestamp with time zone")
      )
    }).pipe(Effect.provide(client))
  )
})

describe("the backends of a process that is killed", () => {
  const backends = 8
  const keptBy = (world: World, from: Replica, count: number) =>
    until(
      `${count} keep all`,
      world.owners(from),
      (owners) => owners.size === backends && new Set(owners.values()).size === count
    )

  it.live(
    "are taken over as soon where that clock is put back",
    () =>
      Effect.gen(function* () {
        yield* setTimeZone(before)
        const world = yield* make({ storage: database(), backends, lease })
        const [one, two] = yield* Effect.all([world.replica, world.replica], { concurrency: "unbounded" })
        yield* keptBy(world, one, 2)
        yield* setTimeZone(back)
        yield* two.signal("SIGKILL")
        yield* keptBy(world, one, 1)
      }),
    60_000
  )
})
