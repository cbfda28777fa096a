/**
 * Which processes take part, and what each keeps, as the storage has it: read from the engine's own tables, whose leases say more than any process
 * knows by itself, and are there also where the process that has them is not.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { EntityId, Sharding } from "effect/cluster"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Process } from "../../ClusterBackends.ts"
import * as Address from "../address.ts"
import { Listing } from "../owner/listing.ts"
import { Here } from "../owner/owner.ts"

/** What the tables have. */
interface Row {
  readonly address: string
  readonly healthy: boolean | null
  /** for how many seconds the process has said nothing */
  readonly silent: number | null
  readonly shard: string | null
  /** for how many seconds its lease was not refreshed */
  readonly age: number | null
}

interface Found {
  isHealthy: boolean
  readonly shards: Set<string>
  left: number | undefined
}

/** `prefix`: what the names of the tables begin with. */
export const make = (
  prefix: string,
  lease: Duration.Duration
): Effect.Effect<
  Effect.Effect<ReadonlyArray<Process>, SqlError>,
  never,
  Sharding.Sharding | SqlClient.SqlClient | Listing | Here
> =>
  Effect.gen(function* () {
    const sharding = yield* Sharding.Sharding
    const listing = yield* Listing
    const here = yield* Here
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const runners = sql(`${prefix}_runners`)
    const locks = sql(`${prefix}_locks`)
    const span = Duration.toMillis(lease)

    const read = sql<Row>`
      SELECT COALESCE(runner.address, lock.address) AS address, runner.healthy AS healthy, lock.shard_id AS shard,
        CAST(EXTRACT(EPOCH FROM NOW() - runner.last_heartbeat) AS DOUBLE PRECISION) AS silent,
        CAST(EXTRACT(EPOCH FROM NOW() - lock.acquired_at) AS DOUBLE PRECISION) AS age
      FROM ${runners} AS runner FULL OUTER JOIN ${locks} AS lock ON lock.address = runner.address
    `
    return Effect.map(Effect.withTracerEnabled(read, false), (rows) => {
      const found = new Map<string, Found>()
      for (const { address, age, healthy, shard, silent } of rows) {
        const left = age === null ? undefined : span - age * 1000
        const isHeld = shard !== null && left !== undefined && left > 0
        // A lease that has run out is nobody's, and who has said nothing for as long takes no part any more.
        if (!isHeld && (silent === null || silent * 1000 > span)) continue
        const one = found.get(address) ?? { isHealthy: healthy === true, shards: new Set(), left: undefined }
        found.set(address, one)
        if (!isHeld) continue
        one.shards.add(shard)
        one.left = Math.min(one.left ?? span, left)
      }
      const byShard = new Map<string, Array<string>>()
      for (const id of listing.current().keys()) {
        const shard = sharding.getShardId(EntityId.make(id), "default").toString()
        const ids = byShard.get(shard)
        if (ids === undefined) byShard.set(shard, [id])
        else ids.push(id)
      }
      return [...found]
        .map(([written, { isHealthy, left, shards }]): Process => {
          const address = named(written)
          return {
            address,
            isHere: address === here,
            isHealthy,
            backends: [...shards].flatMap((shard) => byShard.get(shard) ?? []),
            left: left === undefined ? undefined : Duration.millis(left)
          }
        })
        .toSorted((one, other) => (one.address < other.address ? -1 : 1))
    })
  })

/** The engine writes addresses without the brackets of IPv6. */
const named = (written: string): string => {
  const at = written.lastIndexOf(":")
  return Address.format({ host: written.slice(0, at), port: Number(written.slice(at + 1)) })
}
