/** One secret for all processes that have the same database, on a real one. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { SharedKey } from "../src/index.ts"
import { shared } from "./support/shared.ts"
import { clientOf } from "./support/client.ts"

const database = shared()

const client = () => clientOf(database().port)

const hex = (key: Redacted.Redacted<Uint8Array>) => Buffer.from(Redacted.value(key)).toString("hex")

describe("a shared key", () => {
  it.live("is the same for processes that ask for it at once, and later; and another one by another name", () =>
    Effect.gen(function* () {
      // a client each, and a table that is not there yet
      const all = yield* Effect.forEach([1, 2, 3, 4], () => Effect.provide(SharedKey.get("ids"), client()), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(all.map(hex)).size, 1)
      const again = yield* Effect.provide(SharedKey.get("ids"), client())
      assert.strictEqual(hex(again), all.map(hex)[0])
      assert.strictEqual(Redacted.value(again).length, 32)
      assert.notStrictEqual(hex(yield* Effect.provide(SharedKey.get("other"), client())), hex(again))
      assert.notInclude(String(again), hex(again))
    })
  )

  it.live("is made anew by a role that may only read and write the table", () =>
    Effect.gen(function* () {
      const before = yield* SharedKey.get("ids")
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE ROLE using_keys`
      yield* sql`GRANT SELECT, INSERT, DELETE ON vmcp_keepalive_keys TO using_keys`
      const anew = Effect.andThen(sql`DELETE FROM vmcp_keepalive_keys WHERE name = 'ids'`, SharedKey.get("ids"))
      // PGlite has one session for all
      const after = yield* Effect.acquireUseRelease(
        sql`SET ROLE using_keys`,
        () => anew,
        () => Effect.ignore(sql`RESET ROLE`)
      )
      assert.notStrictEqual(hex(after), hex(before))
    }).pipe(Effect.provide(client()))
  )

  it.live("is not taken where something else stands in its place, and what stands there is in no error", () =>
    Effect.gen(function* () {
      yield* SharedKey.get("ids")
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO vmcp_keepalive_keys (name, secret) VALUES ('broken', 'too short')`
      const error = yield* Effect.flip(SharedKey.get("broken"))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.include(error.message, "vmcp_keepalive_keys.broken: expected 32 bytes")
      assert.notInclude(JSON.stringify(error) + String(error), "too short")
    }).pipe(Effect.provide(client()))
  )

  it.live("is not had without the storage", () =>
    Effect.gen(function* () {
      const nowhere = PgClient.layer({ host: "127.0.0.1", port: 9, database: "postgres", username: "postgres" })
      const error = yield* Effect.flip(Effect.provide(SharedKey.get("ids"), nowhere))
      assert.strictEqual(error._tag, "SqlError")
    })
  )
})
