/** A Postgres from npm alone, which gateways of a test reach over a socket. */
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Effect, type Scope } from "effect"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"

/** A port that is free now. */
export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

export const password = "not-for-anybody"

/** The URL of a database that is there until the scope ends, and in which that was done. */
const database = (statements: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const db = await PGlite.create()
        await db.exec(statements)
        const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port, maxConnections: 50 })
        await server.start()
        return { db, server }
      }),
      ({ db, server }) =>
        Effect.promise(async () => {
          await server.stop()
          await db.close()
        })
    )
    return `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  })

/** The URL of a database that is there until the scope ends. */
export const make = database("")

/** One in which that stands where the key for session ids is kept. */
export const withKey = (text: string) =>
  database(
    `CREATE TABLE vmcp_keepalive_keys (name TEXT PRIMARY KEY, secret TEXT NOT NULL);
    INSERT INTO vmcp_keepalive_keys VALUES ('host-sessions', '${text}')`
  )
