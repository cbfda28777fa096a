/**
 * The connections of a server: each is for one request, and they are bounded in number and time.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"

/**
 * How many there are at once, at most. When one more comes, the one goes that has waited longest with a request that is not
 * complete; where there is none, the one that has waited longest for its answer.
 */
export const mostConnections = 400

/**
 * How many the operating system opens beforehand. Of what comes beyond that it drops the first packet, and a client says it again
 * after 1, 3 and 7 seconds.
 */
export const backlog = 2048

/** For `createServer`. Times are in milliseconds. */
export const limits = {
  /** from the beginning of a connection until the head of its request is there */
  headersTimeout: 5000,
  /** … and its body, which nobody needs */
  requestTimeout: 10_000,
  /** how often these two are looked at */
  connectionsCheckingInterval: 1000,
  /** of the head of a request, in bytes */
  maxHeaderSize: 8 * 1024
} as const

/** Closes it at once. What it was sent and has not taken, the operating system would keep for minutes. */
export const cut = (socket: Socket): void => {
  // alone, this one would wait until all is written
  if (socket.writableLength > 0) socket.resetAndDestroy()
  socket.destroy()
}

/** From now on the connections of the server are bounded. To be told when a request is complete. */
export const bound = (server: Server): { readonly asked: (socket: Socket) => void } => {
  // each in the order in which they got there
  const asking = new Set<Socket>()
  const asked = new Set<Socket>()

  server.on("connection", (socket: Socket) => {
    if (asking.size + asked.size >= mostConnections) {
      const [longest = socket] = asking.size > 0 ? asking : asked
      forget(longest)
      cut(longest)
    }
    asking.add(socket)
    socket.once("close", () => forget(socket))
  })
  const forget = (socket: Socket) => asking.delete(socket) || asked.delete(socket)

  // Prometheus opens a connection for every scrape, unless it scrapes more often than every 5 seconds. A second request that
  // comes before the first one is answered would have to be remembered.
  server.maxRequestsPerSocket = 1
  server.on("dropRequest", (_request, socket: Socket) => cut(socket))

  return {
    asked: (socket) => {
      if (asking.delete(socket)) asked.add(socket)
    }
  }
}
