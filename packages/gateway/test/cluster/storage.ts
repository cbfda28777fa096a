/** A Postgres from npm alone, which gateways of a test reach over a socket. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Database, Ports } from "@vmcp-keepalive/testkit"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"

export const freePort = Ports.free

/** It takes any. */
export const password = "not-for-anybody"

const urlOf = ({ port }: Database.Database) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`

/** The URL of a database that is there until the scope ends. */
export const make = Effect.map(Database.make, urlOf)

/** One that can be frozen. */
export const freezable = Effect.map(Database.make, (database) => ({
  url: urlOf(database),
  signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.sync(() => void process.kill(database.pid, signal))
}))

/** One in which that stands where the key for session ids is kept. */
export const withKey = (text: string) =>
  Effect.tap(make, (url) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE vmcp_keepalive_keys (name TEXT PRIMARY KEY, secret TEXT NOT NULL)`
      yield* sql`INSERT INTO vmcp_keepalive_keys VALUES ('host-sessions', ${text})`
    }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url) })), Effect.orDie)
  )
