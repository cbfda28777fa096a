/**
 * 100,000 backends over 50 processes, without any of them: who keeps what is computed by the engine's own hash and hash ring, as each process
 * does it. What comes of that is told: how even it is, what moves, how a herd comes back, and what the storage is asked.
 */
import { Effect, HashRing, Layer, Option } from "effect"
import {
  EntityId,
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { createRequire } from "node:module"
import type { Measured, Result, Row } from "../Row.ts"

const backends = 100_000
const processes = 50

/** As the cluster has them: its default, its greatest, and 60 for each process, which its documents ask for. */
const shardings = [300, 60 * processes, 10_000] as const

/** Of an attempt that succeeds, over a network. */
const attempt = 50
/** The limits of one process, as they are by default: attempts at a time, and for how long at most each counts. */
const limits = { attempts: 64, hold: 250 }
const lease = 15_000

const addressOf = (process: number) =>
  RunnerAddress.RunnerAddress.make({ host: `10.0.${Math.floor(process / 250)}.${(process % 250) + 1}`, port: 7777 })

/** The shard of each backend, from 0. */
const shardsOf = (shardsPerGroup: number) =>
  Effect.map(Sharding.Sharding, (sharding) =>
    Array.from({ length: backends }, (_, id) => sharding.getShardId(EntityId.make(`backend-${id}`), "default").id - 1)
  ).pipe(
    Effect.provide(
      Sharding.layer.pipe(
        Layer.provide(Runners.layerNoop),
        Layer.provide([MessageStorage.layerNoop, RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
        // one that keeps nothing, and only asks
        Layer.provide(ShardingConfig.layer({ runnerAddress: Option.none(), shardsPerGroup }))
      )
    )
  )

/** The name of the process of each shard. */
const ownersOf = (ring: HashRing.HashRing<RunnerAddress.RunnerAddress>, shards: number): ReadonlyArray<string> =>
  (HashRing.getShards(ring, shards) ?? []).map(({ host }) => host)

const countBy = <A>(items: Iterable<A>): ReadonlyMap<A, number> => {
  const counts = new Map<A, number>()
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts
}

/** How many backends have another owner after than before. */
const moved = (shards: ReadonlyArray<number>, before: ReadonlyArray<string>, after: ReadonlyArray<string>) =>
  shards.filter((shard) => before[shard] !== after[shard]).length

/** In how many milliseconds the last of so many attempts of one process has succeeded, all of origins of their own. */
const comesBack = (count: number, took: number): number => {
  const permits = Array.from({ length: limits.attempts }, () => 0)
  let last = 0
  for (let left = count; left > 0; left--) {
    // each takes the permit that is free first
    const free = permits.indexOf(Math.min(...permits))
    const begins = permits[free] ?? 0
    permits[free] = begins + Math.min(took, limits.hold)
    last = Math.max(last, begins + took)
  }
  return last
}

const simulate = (shards: number) =>
  Effect.map(shardsOf(shards), (shardOf) => {
    const ring = HashRing.make<RunnerAddress.RunnerAddress>()
    for (let process = 0; process < processes; process++) HashRing.add(ring, addressOf(process))
    const before = ownersOf(ring, shards)
    const ofEach = [...countBy(shardOf.map((shard) => before[shard])).values()]
    const dead = addressOf(1)
    const lost = shardOf.filter((shard) => before[shard] === dead.host).length
    HashRing.remove(ring, dead)
    const without = ownersOf(ring, shards)
    const taken = countBy(shardOf.flatMap((shard) => (before[shard] === dead.host ? [without[shard]] : [])))
    HashRing.add(ring, dead)
    HashRing.add(ring, addressOf(processes))
    const joined = ownersOf(ring, shards)
    const most = Math.max(...ofEach)
    return {
      name: `${shards.toLocaleString("en")} shards`,
      ofEach,
      lost,
      atDeath: moved(shardOf, before, without),
      atJoin: moved(shardOf, before, joined),
      herd: {
        dead: comesBack(Math.max(...taken.values()), attempt),
        all: comesBack(most, attempt),
        dark: comesBack(most, 30_000) - 30_000
      },
      // every sixth of the lease each shard's row and each process's own
      writes: (shards + processes) / (lease / 6000),
      // each process looks at who is there
      reads: processes * 4
    }
  })

const table = <A>(all: ReadonlyArray<A & { readonly name: string }>, values: (one: A) => ReadonlyArray<number>) =>
  all.map((one): Result => ({ name: one.name, rounds: values(one) }))

export const clusterSimulation: Row = {
  name: "cluster-simulation",
  title: "100,000 backends over 50 processes, on paper: how many one process keeps, of 50",
  unit: "backends",
  run: Effect.gen(function* () {
    const all = yield* Effect.forEach(shardings, simulate)
    const enough = all.find(({ name }) => name.startsWith("3,000"))
    const { version }: { version: string } = createRequire(import.meta.url)("effect/package.json")
    const measured: Measured = {
      contestants: table(all, ({ ofEach }) => ofEach),
      also: [
        { title: "kept by a process that dies", unit: "backends", contestants: table(all, ({ lost }) => [lost]) },
        { title: "move then, those included", unit: "backends", contestants: table(all, ({ atDeath }) => [atDeath]) },
        {
          title: "move where a 51st process comes",
          unit: "backends",
          contestants: table(all, ({ atJoin }) => [atJoin])
        },
        {
          title: `back after a death, once its lease is over, where an attempt takes ${attempt} ms`,
          unit: "ms",
          contestants: table(all, ({ herd }) => [herd.dead])
        },
        {
          title: "all back after the storage was away for longer than the lease",
          unit: "ms",
          contestants: table(all, ({ herd }) => [herd.all])
        },
        {
          title: "the last attempt begins then, where no server answers any more",
          unit: "ms",
          contestants: table(all, ({ herd }) => [herd.dark])
        },
        {
          title: "rows that the storage writes, with a lease of 15 s",
          unit: "a second",
          contestants: table(all, ({ writes }) => [writes])
        },
        { title: "queries that only read", unit: "a second", contestants: table(all, ({ reads }) => [reads]) }
      ],
      limits:
        enough === undefined
          ? []
          : [
              {
                what: "most that one keeps beside a fiftieth, 60 shards a process",
                found: Math.max(...enough.ofEach) / (backends / processes),
                most: 1.2,
                unit: "×",
                because: "the ring gives all processes equally many shards, and those have their share of backends"
              },
              {
                what: "moves at a death beside what had to, 60 shards a process",
                found: enough.atDeath / enough.lost,
                most: 2.5,
                unit: "×",
                because: "each move closes a session that was well"
              }
            ],
      remarks: [`by the hash ring of effect ${version}; origins with more backends than one come back at originStarts`]
    }
    return measured
  })
}
