/** What a role of the database has to be allowed, as the guide says it. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Effect, Exit, Layer, Logger, Redacted, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { readFileSync } from "node:fs"
import { ClusterBackends, SharedKey } from "../src/index.ts"
import * as Farm from "./support/farm.ts"
import { freePort } from "./support/process.ts"
import { noPostgres, postgres, type Storage } from "./support/storage.ts"
import { until } from "./support/world.ts"

const guide = readFileSync(new URL("../../../docs/guides/cluster.md", import.meta.url), "utf8")
/** The statements of a block, without what is for `psql` alone. */
const statements = [...guide.matchAll(/```sql\n([^]*?)```/g)].map(([, block = ""]) =>
  block.split(";\n").flatMap((statement) => (statement.trim() === "" ? [] : [statement.replace(/^--.*$/gm, "").trim()]))
)

const as = (user: string, { port }: Storage, database = "mcp") =>
  PgClient.layer({
    url: Redacted.make(`postgres://${user}:secret@127.0.0.1:${port}/${database}`),
    maxConnections: 4
  })

const run = (some: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.forEach(some, (statement) => sql.unsafe(statement)))

/** A process that connects as that role, until its backend is connected. */
const keeps = (user: string, database: Storage): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const farm = yield* Farm.make
    const settings: HttpPeerTransport.HttpSettings = {
      kind: "http",
      url: Redacted.make(farm.url("a")),
      headers: { "x-replica": Redacted.make(user) }
    }
    const address = `127.0.0.1:${yield* freePort}`
    yield* Effect.gen(function* () {
      const { states } = yield* ClusterBackends.ClusterBackends
      yield* until("it is kept", states, (all) => all.get("a")?.state?._tag === "Connected")
      yield* SharedKey.get("rights")
    }).pipe(
      Effect.provide(
        ClusterBackends.layer({
          address,
          allowLoopback: true,
          lease: "3 seconds",
          sessionLedger: { key: Redacted.make(Buffer.alloc(32, 7).toString("base64")) },
          backends: [{ id: "a", settings }]
        }).pipe(Layer.provide(HttpPeerTransport.layer()))
      ),
      Effect.provide(as(user, database))
    )
  }).pipe(Effect.provide(Logger.layer([])))

describe.skipIf(noPostgres !== undefined)(
  `the rights that the guide grants, on ${noPostgres ?? "a real Postgres"}`,
  () => {
    it.live(
      "are enough for a role that makes its tables, and for one that may only use them",
      () =>
        Effect.gen(function* () {
          const database = yield* postgres
          const [making = [], using = []] = statements
          assert.isAbove(making.length, 3)
          assert.isAbove(using.length, 3)
          yield* Effect.provide(run(["CREATE DATABASE mcp"]), as("postgres", database, "postgres"))
          const grant = (some: ReadonlyArray<string>) => Effect.provide(run(some), as("postgres", database))
          yield* grant(making)
          yield* keeps("vmcp_cluster", database)
          yield* grant(using)
          yield* keeps("vmcp_runtime", database)
          // each is needed: without the last one that process does not start
          yield* grant(["REVOKE INSERT ON vmcp_cluster.vmcp_keepalive_locks FROM vmcp_runtime"])
          const refused = yield* Effect.exit(Effect.timeout(keeps("vmcp_runtime", database), "3 seconds"))
          assert.isTrue(Exit.isFailure(refused))
        }),
      120_000
    )
  }
)
