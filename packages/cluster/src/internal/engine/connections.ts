/**
 * Connections between the processes, on Node's own sockets: what lies between them and a call is in the time of each call. How they are opened, taken, and
 * given up.
 */
import * as Clock from "effect/Clock"
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
import * as Address from "../address.ts"
import { type Connection, type Hearer, Link } from "./link.ts"

/** How many milliseconds a connection may take: to a process that is there it takes a few. */
const opening = 1000
/** How long a peer has to show its certificate, and then to say which messages it speaks: until then it holds a connection. */
const showing = Duration.seconds(3)
/** A connection is asked for a sign of life as often as that, and given up where none has come by the next time. */
const beat = Duration.seconds(5)
/** For how long this process then reads what it may have been too late for itself: it may have been frozen. */
const reading = "100 millis"
/** One that was opened from elsewhere, and over which nothing has come for that long, leads nowhere any more: its process asks for signs of life. */
const silent = Duration.minutes(1)
/** For how long nothing may leave of what waits for one that does not read. Over TLS Node tells only when all of it has left: long enough for a long answer. */
const unread = Duration.minutes(5)
/** How many connections others may have here: a process has two. */
const mostConnections = 4096
/** That another process speaks something else is said no more often than that, in milliseconds. */
const telling = 60_000

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
  { readonly open: (address: Address.Address, hearer: Hearer) => Connection }
>()("@vmcp-keepalive/cluster/Connections") {}

/** All that it has opened ends with the scope. */
export const clients = ({ tls }: Pick<ClusterOptions.Settings, "tls">): Layer.Layer<Connections> =>
  Layer.effect(
    Connections,
    Effect.gen(function* () {
      const all = new Set<Link>()
      const clock = yield* Clock.Clock
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
      let toldAt = Number.NEGATIVE_INFINITY
      const tell = (address: Address.Address, stranger: Link["stranger"]) => {
        const now = clock.currentTimeMillisUnsafe()
        if (now - toldAt < telling) return
        toldAt = now
        const who = stranger === "other" ? "No process of this library answers" : "A process of another version answers"
        fork(Effect.logWarning(`${who} at ${Address.format(address)}: nothing is asked there`))
      }
      return {
        open: (address, hearer) => {
          const { host, port } = address
          const socket =
            tls === undefined
              ? Net.connect({ host, port })
              : Tls.connect({ ...optionsOf(tls), host, port, servername: tls.name })
          let watching: Fiber.Fiber<void> | undefined
          const link: Link = new Link(socket, {
            opened: () => {
              clearTimeout(late)
              watching = fork(watch(link))
              hearer.opened()
            },
            received: hearer.received,
            ended: () => {
              clearTimeout(late)
              watching?.interruptUnsafe()
              all.delete(link)
              if (link.stranger !== undefined) tell(address, link.stranger)
              hearer.ended()
            }
          })
          const late = setTimeout(() => link.end(), opening)
          all.add(link)
          socket.once(tls === undefined ? "connect" : "secureConnect", () => {
            link.greet()
            link.read()
          })
          return link
        }
      }
    })
  )

/** Hands a connection over to whoever hears what comes over it. */
export type Take = (connection: Connection) => Omit<Hearer, "opened">

/** Takes the connections of other processes. */
export class Accepting extends Context.Service<
  Accepting,
  {
    /** Takes those that have come, and all that come, until the scope ends. */
    readonly accept: (take: Take) => Effect.Effect<void, never, Scope.Scope>
  }
>()("@vmcp-keepalive/cluster/Accepting") {}

/** How long the last answers may take to those who asked. */
const farewell = "500 millis"

/** Listens at the address. What comes before anybody accepts is greeted, and waits. */
export const server = ({
  address,
  tls
}: Pick<ClusterOptions.Settings, "address" | "tls">): Layer.Layer<Accepting, SocketServer.SocketServerError> =>
  Layer.effect(
    Accepting,
    Effect.gen(function* () {
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const all = new Set<Link>()
      /** how each that waits is taken */
      const waiting = new Set<(take: Take) => void>()
      let taking: Take | undefined
      const watch = (link: Link) =>
        Effect.gen(function* () {
          yield* Effect.sleep(showing)
          // one that is held asks in vain, and is ended by itself
          while (link.isOpen && (link.isAlive || link.isHeld)) {
            link.isAlive = false
            yield* Effect.sleep(silent)
          }
          link.end()
        })
      const come = (socket: Net.Socket) => {
        let hearer: ReturnType<Take> | undefined
        let watching: Fiber.Fiber<void> | undefined
        const link: Link = new Link(socket, {
          opened: () => {},
          received: (message) => hearer?.received(message),
          ended: () => {
            watching?.interruptUnsafe()
            all.delete(link)
            waiting.delete(taken)
            hearer?.ended()
          }
        })
        const taken = (take: Take) => {
          hearer = take(link)
          watching = fork(watch(link))
          link.read(Duration.toMillis(unread))
        }
        all.add(link)
        link.greet()
        if (taking === undefined) waiting.add(taken)
        else taken(taking)
      }
      const listening =
        tls === undefined
          ? Net.createServer(come)
          : Tls.createServer(
              {
                ...optionsOf(tls),
                requestCert: true,
                rejectUnauthorized: true,
                handshakeTimeout: Duration.toMillis(showing)
              },
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
            yield* Effect.timeoutOption(closed, farewell)
            for (const socket of raw) socket.destroy()
          })
      )
      return {
        accept: (take) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              taking = take
              for (const taken of [...waiting]) taken(take)
              waiting.clear()
            }),
            () => Effect.sync(() => void (taking = undefined))
          )
      }
    })
  )
