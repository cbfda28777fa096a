/**
 * Connections between the processes, on Node's own sockets: what lies between them and a call is in the time of each call. Without Nagle's algorithm, which holds
 * each part of a stream back for a delayed acknowledgement (80 ms a notification instead of 2).
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { SocketServer } from "effect/socket"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type * as ClusterOptions from "../../ClusterOptions.ts"
import type * as Address from "../address.ts"
import * as Frames from "./frames.ts"

/** How many milliseconds a connection may take: to a process that is there it takes a few. */
const opening = 1000
/** How many milliseconds a peer has to show its certificate: until then it holds a connection. */
const showing = 3000
/** A connection is asked for a sign of life as often as that, and given up where none has come by the next time. */
const beat = Duration.seconds(5)
/** For how long this process then reads what it may have been too late for itself: it may have been frozen. */
const reading = "100 millis"
/** How many connections others may have here: a process has two. */
const mostConnections = 4096

/** One end of a connection. */
export interface Connection {
  /** Hands a message to the socket; false where it is not open, and no byte of it leaves. */
  readonly send: (message: object) => boolean
  /** Ends it at once. */
  readonly end: () => void
}

/** Who hears what comes over one. */
export interface Hearer {
  /** It throws nothing. */
  readonly received: (message: unknown) => void
  /** It has ended, or could not be opened: the last that is heard of it. */
  readonly ended: () => void
}

/** Who opens one. */
export interface Opener extends Hearer {
  readonly opened: () => void
}

/** What asks for a sign of life, and what that is. Nobody else hears of them. */
const ping = { _tag: "Ping" }
const pong = { _tag: "Pong" }

class Link implements Connection {
  readonly #socket: Net.Socket
  readonly #hearer: Hearer
  readonly #reader = new Frames.Reader()
  #isOpen = false
  /** whether something has come since this end asked for a sign of life */
  isAlive = true

  constructor(socket: Net.Socket, hearer: Hearer) {
    this.#socket = socket
    this.#hearer = hearer
    // what it met is told by its end
    socket.on("error", () => {})
    socket.once("close", () => {
      this.#isOpen = false
      hearer.ended()
    })
  }

  open(): void {
    this.#socket.setNoDelay(true)
    this.#isOpen = true
    this.#socket.on("data", (part) => this.#read(part))
  }

  send(message: object): boolean {
    if (!this.#isOpen || !this.#socket.writable) return false
    this.#socket.write(Frames.write(message))
    return true
  }

  end(): void {
    this.#isOpen = false
    this.#socket.destroy()
  }

  /** Ends it when all has left that was handed over. */
  endSoon(): void {
    this.#isOpen = false
    this.#socket.destroySoon()
  }

  /** Asks for a sign of life. */
  ask(): void {
    this.isAlive = false
    this.send(ping)
  }

  #read(part: Buffer): void {
    let messages: ReadonlyArray<unknown>
    try {
      messages = this.#reader.take(part)
    } catch {
      // whoever is there speaks something else
      return this.end()
    }
    this.isAlive = true
    for (const message of messages) {
      if (!this.#isOpen) return
      const { _tag } = Object(message)
      if (_tag === ping._tag) this.send(pong)
      else if (_tag !== pong._tag) this.#hearer.received(message)
    }
  }
}

const optionsOf = ({ ca, cert, key }: ClusterOptions.Tls) => ({
  ca,
  cert,
  key: Redacted.value(key),
  // both ends are of here
  minVersion: "TLSv1.3" as const
})

/** Opens connections to other processes. */
export class Connections extends Context.Service<
  Connections,
  { readonly open: (address: Address.Address, opener: Opener) => Connection }
>()("@vmcp-keepalive/cluster/Connections") {}

/** All that it has opened ends with the scope. */
export const clients = ({ tls }: Pick<ClusterOptions.Settings, "tls">): Layer.Layer<Connections> =>
  Layer.effect(
    Connections,
    Effect.gen(function* () {
      const all = new Set<Link>()
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      yield* Effect.addFinalizer(() => Effect.sync(() => all.forEach((link) => link.end())))
      const watch = (link: Link) =>
        Effect.gen(function* () {
          do {
            link.ask()
            yield* Effect.sleep(beat)
            if (!link.isAlive) yield* Effect.sleep(reading)
          } while (link.isAlive)
          link.end()
        })
      return {
        open: ({ host, port }, opener) => {
          const socket =
            tls === undefined
              ? Net.connect({ host, port })
              : Tls.connect({ ...optionsOf(tls), host, port, servername: tls.name })
          let watching: Fiber.Fiber<void> | undefined
          const link = new Link(socket, {
            received: opener.received,
            ended: () => {
              clearTimeout(late)
              watching?.interruptUnsafe()
              all.delete(link)
              opener.ended()
            }
          })
          const late = setTimeout(() => link.end(), opening)
          all.add(link)
          socket.once(tls === undefined ? "connect" : "secureConnect", () => {
            clearTimeout(late)
            link.open()
            watching = fork(watch(link))
            opener.opened()
          })
          return link
        }
      }
    })
  )

/** Takes the connections of other processes. */
export class Accepting extends Context.Service<
  Accepting,
  {
    /** Takes those that have come, and all that come, until the scope ends. */
    readonly accept: (taken: (connection: Connection) => Hearer) => Effect.Effect<void, never, Scope.Scope>
  }
>()("@vmcp-keepalive/cluster/Accepting") {}

/** How long the last answers may take to those who asked. */
const farewell = "500 millis"

/** Listens at the address. What comes before anybody accepts waits. */
export const server = ({
  address,
  tls
}: Pick<ClusterOptions.Settings, "address" | "tls">): Layer.Layer<Accepting, SocketServer.SocketServerError> =>
  Layer.effect(
    Accepting,
    Effect.gen(function* () {
      const all = new Set<Link>()
      const waiting = new Set<Net.Socket>()
      let take: ((connection: Connection) => Hearer) | undefined
      const taken = (socket: Net.Socket, accept: (connection: Connection) => Hearer) => {
        let hearer: Hearer | undefined
        const link: Link = new Link(socket, {
          received: (message) => hearer?.received(message),
          ended: () => {
            all.delete(link)
            hearer?.ended()
          }
        })
        all.add(link)
        hearer = accept(link)
        link.open()
      }
      const come = (socket: Net.Socket) => {
        if (take !== undefined) return taken(socket, take)
        waiting.add(socket)
        socket.on("error", () => {})
        socket.once("close", () => waiting.delete(socket))
      }
      const listening =
        tls === undefined
          ? Net.createServer(come)
          : Tls.createServer(
              { ...optionsOf(tls), requestCert: true, rejectUnauthorized: true, handshakeTimeout: showing },
              come
            )
      listening.maxConnections = mostConnections
      // one that does not show who it is in time
      listening.on("tlsClientError", (_, socket: Net.Socket) => socket.destroy())
      // until it has shown its certificate it is nobody's
      const raw = new Set<Net.Socket>()
      listening.on("connection", (socket: Net.Socket) => {
        raw.add(socket)
        socket.once("close", () => raw.delete(socket))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void, SocketServer.SocketServerError>((resume) => {
          listening.once("error", (cause) =>
            resume(
              Effect.fail(
                new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerOpenError({ cause }) })
              )
            )
          )
          listening.listen(address, () => {
            // one that could not be accepted is told to nobody
            listening.on("error", () => {})
            resume(Effect.void)
          })
        }),
        () =>
          Effect.gen(function* () {
            const closed = Effect.callback<void>((resume) => void listening.close(() => resume(Effect.void)))
            for (const link of [...all]) link.endSoon()
            for (const socket of waiting) socket.destroy()
            yield* Effect.timeoutOption(closed, farewell)
            for (const socket of raw) socket.destroy()
          })
      )
      return {
        accept: (accept) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              take = accept
              const come = [...waiting]
              waiting.clear()
              for (const socket of come) taken(socket, accept)
            }),
            () => Effect.sync(() => void (take = undefined))
          )
      }
    })
  )
