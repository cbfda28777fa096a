/** What is counted on of the engine's own storage, on a real database: an upgrade that changes it is seen here. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RunnerAddress, RunnerStorage, ShardId, ShardingConfig, SqlRunnerStorage } from "effect/cluster"
import * as ClusterOptions from "../../src/ClusterOptions.ts"
import { configOf } from "../../src/internal/engine/sharding.ts"
import { until } from "../support/world.ts"
import { shared } from "../support/shared.ts"
import { clientOf } from "../support/client.ts"

const database = shared()

const lease = 3000
const one = RunnerAddress.RunnerAddress.make({ host: "10.0.0.1", port: 1 })
const two = RunnerAddress.RunnerAddress.make({ host: "10.0.0.2", port: 1 })
const [first, second] = [ShardId.make("default", 1), ShardId.make("default", 2)]
const names = (shards: ReadonlyArray<ShardId.ShardId>) => shards.map(String).toSorted()

/** Each test has tables of its own. */
let tests = 0

const withStorage = <E>(body: (storage: RunnerStorage.RunnerStorage["Service"]) => Effect.Effect<void, E>) =>
  Effect.gen(function* () {
    const settings = yield* ClusterOptions.resolve({ address: "10.0.0.1:1", lease })
    const pg = clientOf(database().port)
    const layer = SqlRunnerStorage.layerWith({ prefix: `contract${++tests}` }).pipe(
      Layer.provide([ShardingConfig.layer(configOf(settings)), pg])
    )
    yield* Effect.flatMap(RunnerStorage.RunnerStorage, body).pipe(Effect.provide(layer))
  })

describe("the engine's storage", () => {
  it.live("gives a shard to one process, for the lease, as long as that one does not refresh", () =>
    withStorage((storage) =>
      Effect.gen(function* () {
        const at = Date.now()
        assert.deepStrictEqual(names(yield* storage.acquire(one, [first, second])), names([first, second]))
        assert.deepStrictEqual(yield* storage.acquire(two, [first, second]), [])
        // what is confirmed counts from when it was asked for
        const refreshed = Date.now()
        assert.deepStrictEqual(names(yield* storage.refresh(one, [first])), names([first]))
        yield* until("two has what was not refreshed", storage.acquire(two, [second]), (taken) => taken.length === 1)
        assert.isAtLeast(Date.now() - at, lease)
        yield* until("two has the other one", storage.acquire(two, [first]), (taken) => taken.length === 1)
        assert.isAtLeast(Date.now() - refreshed, lease)
        // and the one before is told that it has neither
        assert.deepStrictEqual(yield* storage.refresh(one, [first, second]), [])
        yield* storage.releaseAll(two)
      })
    )
  )

  it.live("has a shard for the next one as soon as it is given back, one or all", () =>
    withStorage((storage) =>
      Effect.gen(function* () {
        yield* storage.acquire(one, [first, second])
        yield* storage.release(one, first)
        assert.deepStrictEqual(names(yield* storage.acquire(two, [first, second])), names([first]))
        yield* storage.releaseAll(one)
        assert.deepStrictEqual(names(yield* storage.acquire(two, [second])), names([second]))
        yield* storage.releaseAll(two)
      })
    )
  )
})
