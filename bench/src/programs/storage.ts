/** The database of a cluster, from npm alone: PGlite over a socket, on the port that is named. */
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"

const port = Number(process.argv[2])
const server = new PGLiteSocketServer({ db: await PGlite.create(), host: "127.0.0.1", port, maxConnections: 50 })
await server.start()
console.log(JSON.stringify({ port }))
