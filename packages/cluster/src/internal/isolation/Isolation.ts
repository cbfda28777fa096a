/**
 * Which backends an operator has isolated, in the storage: whoever keeps one next leaves it so. Only the process that keeps a backend writes of it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { bounded, ensure, type Unanswered } from "../table.ts"

/** Of one backend, while this process keeps it. An order that fails changes nothing, also where the storage carries it out after that. */
export interface Isolated {
  /** whether it is to be isolated */
  readonly read: Effect.Effect<boolean, Unanswered>
  readonly write: Effect.Effect<void, Unanswered>
  /** Asks nothing where it is not isolated. */
  readonly remove: Effect.Effect<void, Unanswered>
  /** The same where that is no order: it is isolated no longer, also where the storage does not answer yet. */
  readonly forget: Effect.Effect<void>
}

export class Isolation extends Context.Service<
  Isolation,
  { readonly of: (backend: string) => Effect.Effect<Isolated, never, Scope.Scope> }
>()("@vmcp-keepalive/cluster/Isolation") {}

/** Between two tries to undo what may have been done. */
const pause = "1 second"

const name = "vmcp_keepalive_isolated"
const columns = "backend TEXT PRIMARY KEY, since BIGINT NOT NULL"

export const layer: Layer.Layer<Isolation, SqlError, SqlClient.SqlClient> = Layer.effect(
  Isolation,
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    yield* ensure(sql, name, columns)
    const ask = bounded(yield* Effect.scope)
    const table = sql(name)
    return {
      of: (backend) =>
        Effect.map(Effect.scope, (kept) => {
          // One that was given up may be done yet: what comes after it waits for that, also longer than its own order did.
          const inTurn = Semaphore.makeUnsafe(1).withPermits(1)
          let stands = false
          let latest = 0
          let isForgotten = false
          const put = (isIsolated: boolean) =>
            isIsolated
              ? Effect.flatMap(
                  Clock.currentTimeMillis,
                  (since) =>
                    sql`INSERT INTO ${table} ${sql.insert({ backend, since })} ON CONFLICT (backend) DO NOTHING`
                )
              : sql`DELETE FROM ${table} WHERE backend = ${backend}`
          /** until another order was given */
          const undo = (own: number) => {
            const isOver = () => latest !== own
            const back = ask(inTurn(Effect.suspend(() => (isOver() ? Effect.void : put(stands)))))
            return Effect.retry(back, { schedule: Schedule.spaced(pause), until: isOver })
          }
          /** before anything else is asked: the backend may be listed anew */
          const forgotten = Effect.suspend(() =>
            isForgotten ? Effect.tap(put(false), () => Effect.sync(() => void (isForgotten = false))) : Effect.void
          )
          const order = (isIsolated: boolean) =>
            Effect.suspend(() => {
              isForgotten = false
              const own = ++latest
              return Effect.matchEffect(ask(inTurn(put(isIsolated))), {
                onSuccess: () => Effect.sync(() => void (stands = isIsolated)),
                onFailure: (error) => Effect.andThen(Effect.forkIn(undo(own), kept), Effect.fail(error))
              })
            })
          return {
            read: Effect.map(
              ask(inTurn(Effect.andThen(forgotten, sql`SELECT 1 FROM ${table} WHERE backend = ${backend}`))),
              (rows) => (stands = rows.length > 0)
            ),
            write: order(true),
            remove: Effect.suspend(() => (stands ? order(false) : Effect.void)),
            forget: Effect.suspend(() => {
              if (!stands) return Effect.void
              stands = false
              isForgotten = true
              latest++
              const done = ask(inTurn(forgotten))
              return Effect.catch(done, () =>
                Effect.asVoid(Effect.forkIn(Effect.retry(done, Schedule.spaced(pause)), kept))
              )
            })
          }
        })
    }
  })
)
