/** The engine in this process, in a test's time: on a storage, a way to other processes, and a check of their health that a test has its hands on. */
import { Effect, identity, Layer, Schema } from "effect"
import {
  ClusterError,
  Entity,
  EntityId,
  MessageStorage,
  Runner,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig,
  type ShardId,
  Snowflake
} from "effect/cluster"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import * as ClusterOptions from "../../src/ClusterOptions.ts"
import { configOf } from "../../src/internal/engine/sharding.ts"

export const addressOf = (host: string) => RunnerAddress.RunnerAddress.make({ host, port: 1 })
export const own = addressOf("10.0.0.1")
export const other = addressOf("10.0.0.2")
export const away = new ClusterError.PersistenceError({ cause: "away" })

const runnerOf = (address: RunnerAddress.RunnerAddress) =>
  Runner.Runner.make({ address, groups: ["default"], weight: 1 })

export const Thing = Entity.make("Thing", [Rpc.make("Ask", { success: Schema.String })])

export interface Over {
  readonly storage?: Partial<RunnerStorage.RunnerStorage["Service"]>
  readonly runners?: Partial<Runners.Runners["Service"]>
  /** what stands between the engine and the storage */
  readonly decorated?: (storage: Layer.Layer<RunnerStorage.RunnerStorage>) => Layer.Layer<RunnerStorage.RunnerStorage>
  readonly health?: Partial<RunnerHealth.RunnerHealth["Service"]>
}

/**
 * An engine that has begun. `log` has what it asked of the storage, without its polling; `healthy` are those who take part, itself once it has
 * registered.
 */
export const engine = (over: Over = {}) =>
  Effect.gen(function* () {
    const { decorated = identity } = over
    const settings = yield* ClusterOptions.resolve({ address: "10.0.0.1:1" })
    const log: Array<string> = []
    const polls = { of: 0, fail: false }
    const members = new Map<string, boolean>()
    const noted = <A, E>(what: string, effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => {
        log.push(what)
        return effect
      })
    const taken = (shards: Iterable<ShardId.ShardId>) => Effect.sync(() => [...shards])
    const base = yield* RunnerStorage.makeMemory
    const storage: RunnerStorage.RunnerStorage["Service"] = {
      ...base,
      acquire: (_, shards) => taken(shards),
      refresh: (_, shards) => taken(shards),
      ...over.storage
    }
    const recorded = RunnerStorage.RunnerStorage.of({
      register: (runner, isHealthy) =>
        noted(
          "register",
          Effect.andThen(
            Effect.sync(() => members.set(runner.address.host, isHealthy)),
            storage.register(runner, isHealthy)
          )
        ),
      unregister: (address) => noted("unregister", storage.unregister(address)),
      getRunners: Effect.suspend(() => {
        polls.of++
        if (polls.fail) return Effect.fail(away)
        return Effect.succeed([...members].map(([host, isHealthy]) => [runnerOf(addressOf(host)), isHealthy] as const))
      }),
      setRunnerHealth: (address, isHealthy) =>
        noted(
          `${address.host} ${isHealthy ? "healthy" : "unhealthy"}`,
          Effect.sync(() => void members.set(address.host, isHealthy))
        ),
      acquire: (address, shards) => noted(`acquire ${[...shards].length}`, storage.acquire(address, shards)),
      refresh: (address, shards) => noted(`refresh ${[...shards].length}`, storage.refresh(address, shards)),
      release: (address, shard) => noted("release", storage.release(address, shard)),
      releaseAll: (address) => noted("releaseAll", storage.releaseAll(address))
    })
    const runners = Layer.effect(
      Runners.Runners,
      Effect.map(Runners.makeNoop, (noop) => ({ ...noop, ...over.runners }))
    ).pipe(Layer.provide(Snowflake.layerGenerator))
    const health = Layer.succeed(RunnerHealth.RunnerHealth, { isAlive: () => Effect.succeed(true), ...over.health })
    const context = yield* Layer.build(
      Sharding.layer.pipe(
        Layer.provide([runners, health, decorated(Layer.succeed(RunnerStorage.RunnerStorage, recorded))]),
        Layer.provide(MessageStorage.layerNoop),
        Layer.provide(ShardingConfig.layer(configOf(settings)))
      )
    )
    const sharding = yield* Effect.provideContext(Effect.service(Sharding.Sharding), context)
    const shardOf = (id: string) => sharding.getShardId(EntityId.make(id), "default")
    const ids = Array.from({ length: 20 }, (_, index) => `thing-${index}`)
    return {
      log,
      members,
      polls,
      settings,
      shardOf,
      /** an id whose shard this engine has, or has not */
      idThatIs: (isHere: boolean) => ids.find((id) => sharding.hasShardId(shardOf(id)) === isHere) ?? "none",
      isHere: (id: string) => sharding.hasShardId(shardOf(id)),
      /** Registers the entity, whose end is noted. */
      serve: sharding.registerEntity(
        Thing,
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Effect.sync(() => void log.push("entity ends")))
          return Thing.of({ Ask: () => Effect.succeed("answer") })
        }),
        { maxIdleTime: Infinity, concurrency: "unbounded" }
      ),
      ask: Effect.map(sharding.makeClient(Thing), (client) => (id: string) => client(id).Ask())
    }
  })

/** The engine does what is due. */
export const pass = (span: Parameters<typeof TestClock.adjust>[0]) => TestClock.adjust(span)
