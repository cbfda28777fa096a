/**
 * A Postgres from npm alone, for processes that reach it over a socket; what is in its folder is there again when it is started again. PGlite has one
 * session for all connections, so that they take turns. `@electric-sql/pglite-socket` lets them do so with each message of the protocol: what
 * one of them has prepared another one executes, and is told its rows. Here a turn lasts to the end of a query, or of a transaction.
 */
import { PGlite } from "@electric-sql/pglite"
import { createServer, type Socket } from "node:net"

const [port, folder] = process.argv.slice(2)
const db = await PGlite.create(folder)

let last = Promise.resolve()
const takeTurn = async (): Promise<() => void> => {
  const before = last
  let end = () => {}
  last = new Promise((resolve) => void (end = resolve))
  await before
  return end
}

const sslRequest = 80_877_103
/** after these an answer is waited for: the first message, a password, a simple query, the end of an extended one, and a look at what there is of it */
const asking = new Set(["first", "p", "Q", "S", "H"])

const serve = async (socket: Socket) => {
  let unread = Buffer.alloc(0)
  let isFirst = true
  let batch: Array<Uint8Array> = []
  let endTurn: (() => void) | undefined
  try {
    for await (const part of socket) {
      unread = Buffer.concat([unread, part])
      // every message but the first has a letter before its length
      const sizeAt = () => (isFirst ? 0 : 1)
      const size = () => (unread.length < sizeAt() + 4 ? Infinity : sizeAt() + unread.readInt32BE(sizeAt()))
      while (unread.length >= size()) {
        const message = unread.subarray(0, size())
        unread = unread.subarray(message.length)
        if (isFirst && message.readInt32BE(4) === sslRequest) {
          socket.write("N")
          continue
        }
        const kind = isFirst ? "first" : String.fromCharCode(message[0] ?? 0)
        isFirst = false
        if (kind === "X") return
        batch.push(new Uint8Array(message))
        if (!asking.has(kind)) continue
        endTurn ??= await takeTurn()
        for (const one of batch)
          await db.execProtocolRawStream(one, { onRawData: (data) => void socket.write(new Uint8Array(data)) })
        batch = []
        if (kind === "H" || db.isInTransaction()) continue
        endTurn()
        endTurn = undefined
      }
    }
  } finally {
    if (endTurn !== undefined) {
      if (db.isInTransaction()) await db.exec("ROLLBACK")
      endTurn()
    }
    socket.destroy()
  }
}

// whoever is killed resets its connection
const server = createServer({ noDelay: true }, (socket) => void serve(socket).catch(() => {}))
server.listen(Number(port), "127.0.0.1", () => process.send?.("ready"))
process.on("disconnect", () => process.exit())
