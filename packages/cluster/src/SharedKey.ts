/**
 * A secret that all processes of a cluster have, and that nobody has to hand out: the first one that asks makes it, and the storage keeps it. For what
 * one process signs and another one has to recognize, such as the ids of sessions that a gateway gives to its hosts.
 *
 * Whoever may read the database has it. It is no key for what is kept in that database itself.
 */
import { BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { randomBytes } from "node:crypto"
import { ensure } from "./internal/table.ts"

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * The 32 bytes of that name, the same in every process that has the same database. They are made at the first time, in the table `vmcp_keepalive_keys`, which
 * is made too where it is not there. Fails where the storage cannot be had, and where it holds something else under that name.
 *
 * @since 0.1.0
 */
export const get = (
  name: string
): Effect.Effect<Redacted.Redacted<Uint8Array>, SqlError | BackendError.ConfigurationError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const table = sql("vmcp_keepalive_keys")
    yield* ensure(sql, "vmcp_keepalive_keys", "name TEXT PRIMARY KEY, secret TEXT NOT NULL")
    const kept = Effect.map(
      sql<{ readonly secret: string }>`SELECT secret FROM ${table} WHERE name = ${name}`,
      ([row]) => row?.secret
    )
    const made = Effect.suspend(() => {
      const secret = randomBytes(bytes).toString("base64url")
      return Effect.andThen(
        sql`INSERT INTO ${table} (name, secret) VALUES (${name}, ${secret}) ON CONFLICT (name) DO NOTHING`,
        kept
      )
    })
    const text = (yield* kept) ?? (yield* made)
    const key = Buffer.from(text ?? "", "base64url")
    return key.length === bytes ? Redacted.make<Uint8Array>(key, { label: name }) : yield* Effect.fail(unusable(name))
  }).pipe(Effect.withTracerEnabled(false))

// ----------------------------------------------------------------------------------------------------------- internal

const bytes = 32

const unusable = (name: string) =>
  new BackendError.ConfigurationError({
    backend: "",
    issues: [{ path: ["vmcp_keepalive_keys", name], expected: "32 bytes, as base64url" }]
  })
