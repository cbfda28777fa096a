/** A client of a test's storage. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Redacted } from "effect"

/** One of the database on that port. `maxConnections`: default as the client has it. */
export const clientOf = (port: number, maxConnections?: number) =>
  PgClient.layer({
    host: "127.0.0.1",
    port,
    database: "postgres",
    username: "postgres",
    password: Redacted.make("postgres"),
    ...(maxConnections === undefined ? {} : { maxConnections })
  })
