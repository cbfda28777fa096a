/** What is known of leases, and what a storage that is slow or away does to them. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Option } from "effect"
import { ClusterError, RunnerAddress, RunnerStorage, ShardId } from "effect/cluster"
import { TestClock } from "effect/testing"
import { Certainty } from "../../src/internal/lease/certainty.ts"
import * as Leases from "../../src/internal/lease/Leases.ts"

const address = RunnerAddress.RunnerAddress.make({ host: "10.0.0.1", port: 1 })
const [first, second] = [ShardId.make("default", 1), ShardId.make("default", 2)]
const away = new ClusterError.PersistenceError({ cause: "away" })

/** A storage that answers as the test says: with all shards that it is asked for, at once, unless it says otherwise. */
const leases = (storage: Partial<RunnerStorage.RunnerStorage["Service"]>) => {
  const inner = Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.map(RunnerStorage.makeMemory, (memory) =>
      RunnerStorage.RunnerStorage.of({
        ...memory,
        acquire: (_, shards) => Effect.succeed([...shards]),
        refresh: (_, shards) => Effect.succeed([...shards]),
        ...storage
      })
    )
  )
  const layer = Leases.layer({ lease: Duration.seconds(15), refresh: Duration.millis(2500) })
  return Effect.map(
    Layer.build(Layer.provide(layer, inner)),
    (context) => [Context.get(context, RunnerStorage.RunnerStorage), Context.get(context, Leases.Leases)] as const
  )
}

describe("what is certain", () => {
  const held = new Set(["a"])

  it("lasts for the span by whichever clock says less, and not at all where the wall clock was set back", () => {
    const certainty = new Certainty(1000)
    certainty.answered(["a"], held, { monotonic: 0, wall: 5000 })
    assert.strictEqual(certainty.left("a", { monotonic: 400, wall: 5400 }), 600)
    // the machine slept, which the monotonic clock did not see
    assert.isAtMost(certainty.left("a", { monotonic: 400, wall: 65_000 }), 0)
    assert.isAtMost(certainty.left("a", { monotonic: 1000, wall: 5400 }), 0)
    // it may have slept, which the wall clock does not show any more
    assert.isAtMost(certainty.left("a", { monotonic: 400, wall: 4999 }), 0)
    assert.isAtMost(certainty.left("b", { monotonic: 0, wall: 5000 }), 0)
    certainty.forget("a", { monotonic: 400, wall: 5400 })
    assert.isAtMost(certainty.left("a", { monotonic: 400, wall: 5400 }), 0)
  })

  it("is what the storage was asked last, however late it answers what it was asked before", () => {
    const certainty = new Certainty(1000)
    const at = (monotonic: number) => ({ monotonic, wall: 5000 + monotonic })
    certainty.answered(["a"], held, at(300))
    for (const said of [held, new Set<string>()]) certainty.answered(["a"], said, at(100))
    assert.strictEqual(certainty.left("a", at(300)), 1000)
    // it was given back while a refresh was under way
    certainty.forget("a", at(500))
    certainty.answered(["a"], held, at(400))
    assert.isAtMost(certainty.left("a", at(500)), 0)
    certainty.answered(["a"], held, at(600))
    certainty.forgetAll(at(700))
    certainty.answered(["a"], held, at(650))
    assert.isAtMost(certainty.left("a", at(700)), 0)
    certainty.answered(["a"], held, at(700))
    assert.strictEqual(certainty.left("a", at(700)), 1000)
  })
})

describe("a lease", () => {
  it.effect("counts from when the storage was asked, with a margin", () =>
    Effect.gen(function* () {
      const [storage, { holds, left }] = yield* leases({
        acquire: (_, shards) => Effect.delay(Effect.succeed([...shards]), "5 seconds")
      })
      const taking = yield* Effect.forkChild(storage.acquire(address, [first]))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(taking)
      assert.strictEqual(left(first), 13_500 - 5000)
      assert.isFalse(holds(second))
      yield* TestClock.adjust("8499 millis")
      assert.isTrue(holds(first))
      yield* TestClock.adjust("1 millis")
      assert.isFalse(holds(first))
    })
  )

  it.effect("is over once it is given back", () =>
    Effect.gen(function* () {
      const [storage, { holds }] = yield* leases({})
      yield* storage.acquire(address, [first, second])
      yield* storage.release(address, first)
      assert.deepStrictEqual([holds(first), holds(second)], [false, true])
      yield* storage.releaseAll(address)
      assert.isFalse(holds(second))
    })
  )

  it.effect("is over as soon as the storage says that another process has it", () =>
    Effect.gen(function* () {
      const [storage, { holds }] = yield* leases({ refresh: () => Effect.succeed([first]) })
      yield* storage.acquire(address, [first, second])
      assert.deepStrictEqual(yield* storage.refresh(address, [first, second]), [first])
      assert.deepStrictEqual([holds(first), holds(second)], [true, false])
    })
  )

  it.effect("is looked for again where the one before has it still", () =>
    Effect.gen(function* () {
      let looks = 0
      const [storage] = yield* leases({
        acquire: (_, shards) =>
          Effect.sync(() => (++looks < 3 ? [first] : [...shards]).filter((shard) => [...shards].includes(shard)))
      })
      const taking = yield* Effect.forkChild(storage.acquire(address, [first, second]))
      yield* TestClock.adjust("160 millis")
      assert.deepStrictEqual(yield* Fiber.join(taking), [first, second])
      assert.strictEqual(looks, 3)
    })
  )

  it.effect("is told also where a further look fails, or finds nothing in its time", () =>
    Effect.gen(function* () {
      for (const then of [Effect.fail(away), Effect.succeed<Array<ShardId.ShardId>>([])]) {
        let looks = 0
        const [storage] = yield* leases({ acquire: () => (++looks === 1 ? Effect.succeed([first]) : then) })
        const taking = yield* Effect.forkChild(storage.acquire(address, [first, second]))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(taking), [first])
        assert.isAtMost(looks, 8)
      }
    })
  )
})

describe("a refresh", () => {
  it.effect("is tried again within its interval, so that a short outage is not even seen", () =>
    Effect.gen(function* () {
      let tries = 0
      const [storage, { left }] = yield* leases({
        refresh: (_, shards) => Effect.suspend(() => (++tries < 4 ? Effect.fail(away) : Effect.succeed([...shards])))
      })
      const refreshing = yield* Effect.forkChild(storage.refresh(address, [first]))
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(yield* Fiber.join(refreshing), [first])
      assert.strictEqual(left(first), 13_500)
    })
  )

  for (const [how, refresh] of [
    ["refuses", () => Effect.fail(away)],
    ["does not answer", () => Effect.never]
  ] as const)
    it.effect(`holds what is certain until well after the next one, while the storage ${how}, and nothing else`, () =>
      Effect.gen(function* () {
        const [storage, { left }] = yield* leases({ refresh })
        yield* storage.acquire(address, [first])
        yield* TestClock.adjust("7500 millis")
        const third = yield* Effect.forkChild(storage.refresh(address, [first, second]))
        yield* TestClock.adjust("1750 millis")
        assert.deepStrictEqual(yield* Fiber.join(third), [first])

        yield* TestClock.adjust("750 millis")
        const fourth = yield* Effect.forkChild(Effect.timeoutOption(storage.refresh(address, [first]), "2500 millis"))
        yield* TestClock.adjust("2500 millis")
        // the engine drops everything now, while the lease lasts
        assert.isTrue(Option.isNone(yield* Fiber.join(fourth)))
        assert.strictEqual(left(first), 1000)
      })
    )
})

describe("what the storage has been asked", () => {
  const slow = <A>(answer: A, ended: Array<string>) =>
    Effect.onExit(Effect.delay(Effect.succeed(answer), "1 second"), ({ _tag }) => Effect.sync(() => ended.push(_tag)))

  for (const what of ["acquire", "refresh", "release", "releaseAll"] as const)
    it.effect(`is not broken off with whoever asked, so that its connection serves those that are left: ${what}`, () =>
      Effect.gen(function* () {
        const ended: Array<string> = []
        const [storage] = yield* leases({
          acquire: (_, shards) => slow([...shards], ended),
          refresh: (_, shards) => slow([...shards], ended),
          release: () => slow(undefined, ended),
          releaseAll: () => slow(undefined, ended)
        })
        const ask = {
          acquire: storage.acquire(address, [first]),
          refresh: storage.refresh(address, [first]),
          release: storage.release(address, first),
          releaseAll: storage.releaseAll(address)
        }[what]
        const asking = yield* Effect.forkChild(ask, { startImmediately: true })
        yield* Fiber.interrupt(asking)
        assert.deepStrictEqual(ended, [])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(ended, ["Success"])
      })
    )

  it.effect("is broken off where a refresh has to be tried again: the connection may be dead", () =>
    Effect.gen(function* () {
      let brokenOff = 0
      const [storage] = yield* leases({
        refresh: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => brokenOff++))
      })
      yield* Effect.forkChild(storage.refresh(address, [first]), { startImmediately: true })
      yield* TestClock.adjust("1249 millis")
      assert.strictEqual(brokenOff, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(brokenOff, 1)
    })
  )
})
