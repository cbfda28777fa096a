/** Tables of our own, beside those of the engine. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"

/** Makes it where it is not there. It is read before it is made: whoever may only read and write it needs no right to make one. */
export const ensure = (sql: SqlClient.SqlClient, name: string, columns: string): Effect.Effect<void, SqlError> =>
  Effect.asVoid(sql`SELECT 1 FROM ${sql(name)} LIMIT 1`).pipe(
    Effect.catch(() =>
      // Of two that make it at once, Postgres lets one fail.
      Effect.retry(sql`CREATE TABLE IF NOT EXISTS ${sql(name)} (${sql.literal(columns)})`, {
        schedule: Schedule.spaced("100 millis"),
        times: 2
      })
    ),
    Effect.asVoid,
    Effect.withTracerEnabled(false)
  )
