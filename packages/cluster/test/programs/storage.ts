/** A Postgres from npm alone, for processes that reach it over a socket. */
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"

const db = await PGlite.create()
const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: Number(process.argv[2]), maxConnections: 50 })
await server.start()
process.on("disconnect", () => process.exit())
process.send?.("ready")
