/** A server on a port, and a socket to it that shows what is read at a time. */
import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { onTestFinished } from "vitest"
import type { Answering } from "../../src/internal/fetch/exchange.ts"
import { make } from "../../src/internal/fetch/nodeListener.ts"

/** A server that answers so, and a socket to it, whose pieces are what is read at a time. */
export const serving = async (answering: Answering) => {
  const { end, listener } = make(answering)
  const server = createServer(listener).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: "127.0.0.1" })
  const pieces: Array<string> = []
  socket.setEncoding("latin1").on("data", (piece: string) => pieces.push(piece))
  onTestFinished(async () => {
    end()
    socket.destroy()
    server.close().closeAllConnections()
    await once(server, "close")
  })
  return { socket, pieces }
}

export const post = (socket: Socket, body = "{}", headers: Readonly<Record<string, string>> = {}) => {
  const all = Object.entries({ host: "localhost", "content-length": String(body.length), ...headers })
  return socket.write(`POST /mcp HTTP/1.1\r\n${all.map((each) => `${each.join(": ")}\r\n`).join("")}\r\n${body}`)
}
