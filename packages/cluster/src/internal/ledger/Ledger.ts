/**
 * The ledger: which sessions servers keep for the processes of the cluster, so that the next owner of a backend ends those of one that died or is
 * frozen. A server that allows one session only would refuse every other one for as long as it keeps that.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import * as Book from "./book.ts"
import * as Seal from "./seal.ts"
import * as Table from "./table.ts"

export class Ledger extends Context.Service<
  Ledger,
  {
    /** The book of a backend that this process keeps; `undefined` where no sessions are remembered. */
    readonly of: (backend: string) => Effect.Effect<Book.Book | undefined, never, Scope.Scope>
  }
>()("@vmcp-keepalive/cluster/Ledger") {}

/** How often it is said what is in use of that which this process wrote: many times as often as it must. */
const every = "6 hours"

/** Remembers no sessions. */
export const none: Layer.Layer<Ledger> = Layer.succeed(Ledger, { of: () => Effect.succeed(undefined) })

/** Remembers them in the storage, encrypted with that key. */
export const layer = (key: Redacted.Redacted<string>): Layer.Layer<Ledger, SqlError, SqlClient.SqlClient> =>
  Layer.effect(
    Ledger,
    Effect.gen(function* () {
      const table = yield* Table.make
      const seal = Seal.make(key)
      const books = new Set<Book.Book>()
      const tidy = Effect.suspend(() => Effect.ignore(table.tidy([...books].flatMap((book) => book.inUse()))))
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(tidy, Effect.sleep(every))))
      return {
        of: (backend) =>
          Effect.flatMap(Book.make({ backend, seal, table }), (book) =>
            Effect.acquireRelease(
              Effect.sync(() => books.add(book)),
              () => Effect.sync(() => books.delete(book))
            ).pipe(Effect.as(book))
          )
      }
    })
  )
