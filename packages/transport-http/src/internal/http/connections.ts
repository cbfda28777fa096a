/**
 * The connections of one session: made when they are needed, each for one request at a time, and all ended with it. None is
 * shared with anybody, so that what a session holds can be counted, and nothing of it outlives it.
 */
import type { ConnectionOptions } from "node:tls"
// By its file: under the bare name Bun has an undici of its own, which sends nothing.
import { buildConnector, Client } from "undici/index.js"
import { type Address, addressing, dispatch } from "./dispatch.ts"
import type { Head, HttpRequest, Progress, Receiver, Sender, Transmission } from "./sender.ts"

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

/** What remembers TLS sessions: one for all connectors whose connections are made alike, most of which hold none. */
let usual: buildConnector.connector | undefined

/**
 * For all sessions of a connector: makes the connections of one. Beyond `most` of them none idles; how many are in use is for whoever
 * sends.
 */
export const factory = (most: number, tls?: Tls): (() => Sender) => {
  const connect =
    tls === undefined ? (usual ??= buildConnector({ allowH2: false })) : buildConnector({ ...tls, allowH2: false })
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
      const repeating = new Repeating(receiver, () => sendOn(open(origin), request, address, receiver))
      return repeating.began(sendOn(connection, request, address, repeating))
    },
    close: () => {
      isClosed = true
      for (const connection of [...all]) remove(connection)
    }
  }
}

/** Sends once more, on a connection of its own, what ended before a response began on one that has served before. */
class Repeating implements Receiver, Transmission {
  readonly #receiver: Receiver
  #again: (() => Transmission) | undefined
  #current: Transmission | undefined = undefined
  #isAborted = false

  constructor(receiver: Receiver, again: () => Transmission) {
    this.#receiver = receiver
    this.#again = again
  }

  began(transmission: Transmission): this {
    // one that has failed by now has been sent again
    this.#current ??= transmission
    return this
  }

  abort(): void {
    this.#isAborted = true
    this.#current?.abort()
  }

  pause(): void {
    this.#current?.pause()
  }

  resume(): void {
    this.#current?.resume()
  }

  maySend(): boolean {
    return this.#receiver.maySend()
  }

  onSending(): void {
    this.#receiver.onSending()
  }

  onHead(head: Head): void {
    this.#again = undefined
    this.#receiver.onHead(head)
  }

  onData(chunk: Uint8Array): void {
    this.#receiver.onData(chunk)
  }

  onEnd(): void {
    this.#receiver.onEnd()
  }

  onError(error: unknown, progress: Progress): void {
    const again = this.#isAborted ? undefined : this.#again
    this.#again = undefined
    if (again === undefined) this.#receiver.onError(error, progress)
    else this.#current = again()
  }
}
