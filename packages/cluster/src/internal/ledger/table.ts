/**
 * The table of sessions, beside those of the leases. Every question has a bound: a storage that is away holds back nobody. Times are those of the storage:
 * processes may have clocks that are wrong.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql"
import { bounded, ensure, type Unanswered } from "../table.ts"

export interface Row {
  readonly id: string
  /** encrypted */
  readonly session: string
}

export interface Table {
  readonly write: (backend: string, row: Row) => Effect.Effect<void, Unanswered>
  readonly remove: (backend: string, ids: ReadonlyArray<string>) => Effect.Effect<void, Unanswered>
  /** what was written of a backend, the newest first, a bounded number */
  readonly of: (backend: string) => Effect.Effect<ReadonlyArray<Row>, Unanswered>
  /** Says of these that they are in use, and removes what nobody has said that of for too long. */
  readonly tidy: (ids: ReadonlyArray<string>) => Effect.Effect<void, Unanswered>
}

/** How many rows of a backend are looked at, and how many are said to be in use at a time. */
const most = 64
const atATime = 1000

const name = "vmcp_keepalive_sessions"
const columns = `
  backend TEXT NOT NULL,
  id VARCHAR(36) NOT NULL,
  session TEXT NOT NULL,
  seen TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (backend, id)`

export const make = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  yield* ensure(sql, name, columns)
  const ask = bounded(yield* Effect.scope)
  const table = sql(name)
  const now = sql.literal("NOW()")
  // what another key encrypted, and what is of a backend that is listed no longer
  const tooOld = sql.literal("NOW() - INTERVAL '7 days'")
  return {
    write: (backend, { id, session }) =>
      ask(
        // one that was not answered may have been written
        sql`INSERT INTO ${table} (backend, id, session, seen) VALUES (${backend}, ${id}, ${session}, ${now}) ON CONFLICT (backend, id) DO NOTHING`
      ),
    remove: (backend, ids) =>
      ids.length === 0
        ? Effect.void
        : ask(sql`DELETE FROM ${table} WHERE backend = ${backend} AND ${sql.in("id", ids)}`),
    of: (backend) =>
      ask(
        sql<Row>`SELECT id, session FROM ${table} WHERE backend = ${backend} ORDER BY seen DESC LIMIT ${sql.literal(String(most))}`
      ),
    tidy: (ids) =>
      Effect.andThen(
        Effect.forEach(
          Arr.chunksOf(ids, atATime),
          (some) => ask(sql`UPDATE ${table} SET seen = ${now} WHERE ${sql.in("id", some)}`),
          { discard: true }
        ),
        ask(sql`DELETE FROM ${table} WHERE seen < ${tooOld}`)
      )
  } satisfies Table
})
