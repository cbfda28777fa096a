/**
 * The table of sessions, beside those of the leases. Every question has a bound: a storage that is away holds back nobody.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
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
  /** what other processes wrote of a backend, the newest first, a bounded number */
  readonly ofOthers: (backend: string) => Effect.Effect<ReadonlyArray<Row>, Unanswered>
  /** Says that what this process wrote is in use, and removes what nobody has said that of for too long. */
  readonly tidy: Effect.Effect<void, Unanswered>
}

/** How many rows of a backend are looked at. */
const most = 64

/** For how long what nobody uses is kept: what another key encrypted, and what is of a backend that is listed no longer. */
const longest = Duration.toMillis("7 days")

const name = "vmcp_keepalive_sessions"
const columns = `
  backend VARCHAR(255) NOT NULL,
  id VARCHAR(36) NOT NULL,
  owner VARCHAR(36) NOT NULL,
  session TEXT NOT NULL,
  seen BIGINT NOT NULL,
  PRIMARY KEY (backend, id)`

/** `owner`: what no other process writes. */
export const make = Effect.fnUntraced(function* (owner: string) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  yield* ensure(sql, name, columns)
  const ask = bounded(yield* Effect.scope)
  const table = sql(name)
  return {
    write: (backend, row) =>
      Effect.flatMap(Clock.currentTimeMillis, (seen) =>
        ask(
          // one that was not answered may have been written
          sql`INSERT INTO ${table} ${sql.insert({ ...row, backend, owner, seen })} ON CONFLICT (backend, id) DO NOTHING`
        )
      ),
    remove: (backend, ids) =>
      ids.length === 0
        ? Effect.void
        : ask(sql`DELETE FROM ${table} WHERE backend = ${backend} AND ${sql.in("id", ids)}`),
    ofOthers: (backend) =>
      ask(
        sql<Row>`SELECT id, session FROM ${table} WHERE backend = ${backend} AND owner <> ${owner} ORDER BY seen DESC LIMIT ${sql.literal(String(most))}`
      ),
    tidy: Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.andThen(
        ask(sql`UPDATE ${table} SET seen = ${now} WHERE owner = ${owner}`),
        ask(sql`DELETE FROM ${table} WHERE seen < ${now - longest}`)
      )
    )
  } satisfies Table
})
