/**
 * What all processes with one storage have to have alike: decorates the engine's `RunnerStorage`.
 *
 * With another number of shards a backend is of two of them, and is kept twice; with another lease a process takes what the one before still counts on. So
 * the first process writes both down, and each that comes later has the same, or does not start. They are changed by the first one that comes while no
 * other takes part, none has begun a moment ago, and no lease is held.
 *
 * Looking at them when a process starts is for its error. What makes it certain is the look after each taking of shards, which waits for a change that is
 * under way: that change was made before the leases were there to be seen, and these are given back, or it sees them, and is refused.
 */
import { BackendError } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ClusterError, RunnerStorage } from "effect/cluster"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Settings } from "../../ClusterOptions.ts"
import { bounded, ensure } from "../table.ts"

export type Agreed = Pick<Settings, "lease" | "shards">

const columns = "id INT PRIMARY KEY, shards INT NOT NULL, lease INT NOT NULL, agreed TIMESTAMPTZ NOT NULL"

/** As the table has it, the lease in whole milliseconds. */
interface Row {
  readonly shards: number
  readonly lease: number
}

const words: { readonly [Setting in keyof Row]: (value: number) => string } = {
  shards: String,
  lease: (value) => Duration.format(Duration.millis(value))
}

const differing = (own: Row, others: Row): BackendError.ConfigurationError =>
  new BackendError.ConfigurationError({
    backend: "",
    issues: (["shards", "lease"] as const).flatMap((setting) => {
      const value = words[setting](others[setting])
      const expected = `${value}, as the other processes with this storage have it, until all of them have ended, and their leases`
      return own[setting] === others[setting] ? [] : [{ path: [setting], expected }]
    })
  })

const make = (agreed: Agreed, prefix: string) =>
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const own: Row = { shards: agreed.shards, lease: Math.round(Duration.toMillis(agreed.lease)) }
    const table = sql(`${prefix}_settings`)
    const isOwn = ({ lease, shards }: Row) => shards === own.shards && lease === own.lease
    const read = (lock: "SHARE" | "UPDATE") =>
      Effect.map(
        sql<Row>`SELECT shards, lease FROM ${table} WHERE id = 1 FOR ${sql.literal(lock)}`,
        (rows): Row | undefined => rows[0]
      )
    const now = sql.literal("NOW()")
    /** whether one takes part, will in a moment, or has a lease: by the longer lease of both */
    const isInUse = (lease: number) => {
      const since = sql.literal(`NOW() - INTERVAL '${lease} milliseconds'`)
      return Effect.map(
        sql`
          SELECT 1 FROM ${table} WHERE agreed > ${since}
          UNION ALL SELECT 1 FROM ${sql(`${prefix}_runners`)} WHERE last_heartbeat > ${since}
          UNION ALL SELECT 1 FROM ${sql(`${prefix}_locks`)} WHERE acquired_at > ${since} LIMIT 1`,
        (found) => found.length > 0
      )
    }

    /** Whether all others have the same. */
    const holds = Effect.map(read("SHARE"), (row) => row !== undefined && isOwn(row))
    /** Agrees with the others, or fails. */
    const agree = sql.withTransaction(
      Effect.gen(function* () {
        const { lease, shards } = own
        yield* sql`INSERT INTO ${table} (id, shards, lease, agreed) VALUES (1, ${shards}, ${lease}, ${now}) ON CONFLICT (id) DO NOTHING`
        const others = (yield* read("UPDATE")) ?? own
        const isAllowed = isOwn(others) || !(yield* isInUse(Math.max(lease, others.lease)))
        if (!isAllowed) return yield* Effect.fail(differing(own, others))
        yield* sql`UPDATE ${table} SET shards = ${shards}, lease = ${lease}, agreed = ${now} WHERE id = 1`
      })
    )
    return { holds, agree: Effect.andThen(ensure(sql, `${prefix}_settings`, columns), agree) }
  })

/** The decorated storage, once all agree. */
export const layer = (
  agreed: Agreed,
  prefix: string
): Layer.Layer<
  RunnerStorage.RunnerStorage,
  BackendError.ConfigurationError | SqlError,
  RunnerStorage.RunnerStorage | SqlClient.SqlClient
> =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.gen(function* () {
      const inner = yield* RunnerStorage.RunnerStorage
      const { agree, holds } = yield* make(agreed, prefix)
      yield* Effect.withTracerEnabled(agree, false)
      // Whoever takes shards does not break it off: without a bound it would hold a connection that is dead for as long as that is not seen.
      const asked = Effect.mapError(
        bounded(yield* Effect.scope)(holds),
        (cause) => new ClusterError.PersistenceError({ cause })
      )
      return RunnerStorage.RunnerStorage.of({
        ...inner,
        acquire: (address, shards) =>
          Effect.gen(function* () {
            const taken = yield* inner.acquire(address, shards)
            if (taken.length === 0 || (yield* asked)) return taken
            yield* Effect.logError(
              "Other processes with this storage have another lease or number of shards: nothing is taken"
            )
            yield* inner.releaseAll(address)
            return []
          })
      })
    })
  )
