/**
 * The connections of one session: made when they are needed, each for one request at a time, and all ended with it. None is
 * shared with anybody, so that what a session holds can be counted, and nothing of it outlives it.
 */
import type { ConnectionOptions } from "node:tls"
// By its file: under the bare name Bun has an undici of its own, which sends nothing.
import { buildConnector, Client } from "undici/index.js"
import { type Address, addressing, dispatch } from "./dispatch.ts"
import type { HttpRequest, Receiver, Sender, Transmission } from "./sender.ts"

/** How TLS connections are made: these of Node's `tls.connect`. */
export type Tls = Pick<ConnectionOptions, "ca" | "cert" | "key" | "rejectUnauthorized" | "servername">

/** One for all, since each would be made with the place where. */
const ended = new Error("The connection is not needed any more")

/**
 * How long one idles at most, in milliseconds, whatever the server offers: as long as undici lets one idle with Node's own servers,
 * which offer 5 seconds. Each holds 9 KB and a descriptor, and the longer it idles the likelier it is cut as a call is written to it.
 */
const keepAliveMaxTimeout = 3000

/** One that idles, or is in use. */
interface Connection {
  readonly client: Client
  readonly origin: string
  /** whether it has been used before, so that it may end at any moment */
  hasServed: boolean
}

/**
 * For all sessions of a connector, since it remembers TLS sessions: makes the connections of one. Beyond `most` of them none idles;
 * how many are in use is for whoever sends.
 */
export const factory = (most: number, tls: Tls = {}): (() => Sender) => {
  const connect = buildConnector({ ...tls, allowH2: false })
  return () => make(connect, most)
}

/** Connections to one origin, and to the few that redirects within it lead to. */
const make = (connect: buildConnector.connector, most: number): Sender => {
  const all = new Set<Connection>()
  const idle: Array<Connection> = []
  const addressOf = addressing()
  let isClosed = false

  const remove = (connection: Connection) => {
    all.delete(connection)
    const at = idle.indexOf(connection)
    if (at !== -1) idle.splice(at, 1)
    connection.client.destroy(ended).catch(() => {})
  }
  const open = (origin: string): Connection => {
    const client = new Client(origin, {
      connect,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      keepAliveMaxTimeout
    })
    const connection: Connection = { client, origin, hasServed: false }
    all.add(connection)
    // One that has lost its socket is not kept: it would hold memory for nothing. There is nothing to end.
    client.on("disconnect", () => {
      const at = idle.indexOf(connection)
      if (at === -1) return
      idle.splice(at, 1)
      all.delete(connection)
    })
    return connection
  }
  const take = (origin: string): Connection => {
    // the one that served last, as a rule
    const at = idle.at(-1)?.origin === origin ? idle.length - 1 : idle.findLastIndex((each) => each.origin === origin)
    return at === -1 ? open(origin) : (idle.splice(at, 1)[0] ?? open(origin))
  }

  const sendOn = (connection: Connection, request: HttpRequest, address: Address, receiver: Receiver): Transmission =>
    dispatch(connection.client, request, address, receiver, (transmission) => {
      connection.hasServed = true
      // One on which nothing has begun is still being opened, and one that was aborted has lost its socket.
      if (isClosed || all.size > most || transmission.isAborted || !transmission.started) remove(connection)
      else idle.push(connection)
    })

  return {
    send: (request, receiver) => {
      const address = addressOf(request.url)
      const { origin } = address
      const connection = take(origin)
      if (!request.repeatable || !connection.hasServed) return sendOn(connection, request, address, receiver)
      return repeating(
        (each) => sendOn(each === receiver ? open(origin) : connection, request, address, each),
        receiver
      )
    },
    close: () => {
      isClosed = true
      for (const connection of [...all]) remove(connection)
    }
  }
}

/** Sends once more, for the receiver itself, what ended before a response began. */
const repeating = (send: (receiver: Receiver) => Transmission, receiver: Receiver): Transmission => {
  let isAborted = false
  let hasHead = false
  const first: Receiver = {
    ...bound(receiver),
    onHead: (head) => {
      hasHead = true
      receiver.onHead(head)
    },
    onError: (error, progress) => {
      if (hasHead || isAborted) return receiver.onError(error, progress)
      current = send(receiver)
    }
  }
  let current = send(first)
  return {
    abort: () => {
      isAborted = true
      current.abort()
    },
    pause: () => current.pause(),
    resume: () => current.resume()
  }
}

const bound = (receiver: Receiver): Omit<Receiver, "onHead" | "onError"> => ({
  maySend: () => receiver.maySend(),
  onSending: () => receiver.onSending(),
  onData: (chunk) => receiver.onData(chunk),
  onEnd: () => receiver.onEnd()
})
