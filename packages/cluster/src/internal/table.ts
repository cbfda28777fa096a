/** Tables of our own, beside those of the engine. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
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

/** That the storage refused, or did not answer in time. */
export class Unanswered {
  readonly _tag = "Unanswered"
}

/** How long the storage may take. */
const patience = "1 second"

/** What is asked of the storage, with a bound: one that is away holds back nobody. It may still be done after that, while the scope is open. */
export const bounded =
  (scope: Scope.Scope) =>
  <A>(question: Effect.Effect<A, SqlError>): Effect.Effect<A, Unanswered> =>
    // What hangs ends on its own: waiting for an interruption would be as long.
    Effect.flatMap(Effect.forkIn(question, scope), (fiber) =>
      Fiber.join(fiber).pipe(Effect.timeout(patience), Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe())))
    ).pipe(
      Effect.mapError(() => new Unanswered()),
      Effect.withTracerEnabled(false)
    )
