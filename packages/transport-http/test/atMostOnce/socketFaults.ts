/**
 * Errors on this process's own outgoing sockets, whoever opened them: undici, Node's `fetch`, `node:http` and `node:https`
 * all connect through `net.Socket.prototype.connect`. The sockets are real and so is what becomes of them: `destroy(error)`
 * is what Node itself does with an errno from the kernel (`onStreamRead`, `onWriteComplete`, `afterConnect`).
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Net from "node:net"
import { constants } from "node:os"

/** Where a connection that is not established yet fails: before TCP is, or before TLS is. */
export type Opening = "connect" | "handshake"

export interface SocketFaults {
  /** From now on, connections to the port fail there, so many of them. Disarms what was armed before for that port. */
  readonly arm: (port: number, opening: Opening, error: () => Error, times?: number) => Armed
  /** The socket with that local port fails now, synchronously; false if there is none. */
  readonly raise: (localPort: number | undefined, error: Error) => boolean
  /** Bytes that the socket with that local port has received. */
  readonly bytesRead: (localPort: number | undefined) => number
  /** The codes of the errors that sockets ended with, in order. */
  readonly met: ReadonlyArray<string>
}

/** A fault of connections to come. */
export interface Armed {
  /** how many have failed */
  readonly struck: () => number
  readonly disarm: () => void
}

interface Trap {
  readonly opening: Opening
  readonly error: () => Error
  left: number
  struck: number
}

/** See the module. Until the scope closes; one at a time in a process. */
export const install: Effect.Effect<SocketFaults, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const original = Net.Socket.prototype.connect
      const sockets = new Set<Net.Socket>()
      const traps = new Map<number, Trap>()
      const met: Array<string> = []

      Net.Socket.prototype.connect = function (this: Net.Socket, ...args: ReadonlyArray<unknown>): Net.Socket {
        const trap = traps.get(portOf(args[0]))
        sockets.add(this)
        this.once("close", () => {
          sockets.delete(this)
          if (this.errored !== null) met.push("code" in this.errored ? String(this.errored.code) : "")
        })
        if (trap === undefined || trap.left === 0) return Reflect.apply(original, this, args)
        trap.left--
        const strike = () => {
          trap.struck++
          this.destroy(trap.error())
        }
        if (trap.opening === "handshake") {
          // The ClientHello is written then, and nothing has come back yet.
          this.once("connect", strike)
          return Reflect.apply(original, this, args)
        }
        process.nextTick(strike)
        return this
      }
      return { original, sockets, traps, met }
    }),
    ({ original }) =>
      Effect.sync(() => {
        Net.Socket.prototype.connect = original
      })
  ),
  ({ met, sockets, traps }) => {
    const find = (localPort: number | undefined) =>
      localPort === undefined
        ? undefined
        : [...sockets].find((socket) => !socket.destroyed && socket.localPort === localPort)
    return {
      met,
      arm: (port, opening, error, times = Infinity) => {
        const trap: Trap = { opening, error, left: times, struck: 0 }
        traps.set(port, trap)
        return {
          struck: () => trap.struck,
          disarm: () => {
            trap.left = 0
          }
        }
      },
      raise: (localPort, error) => {
        const socket = find(localPort)
        socket?.destroy(error)
        return socket !== undefined
      },
      bytesRead: (localPort) => find(localPort)?.bytesRead ?? 0
    }
  }
)

/** The port that `connect` is called with: as Node's own callers do, with an array that begins with the options. */
const portOf = (first: unknown): number => {
  const options: unknown = Array.isArray(first) ? first[0] : first
  return typeof options === "object" && options !== null && "port" in options ? Number(options.port) : 0
}

/** libuv's own numbers, for codes that the system has none for. */
const libuv: Readonly<Record<string, number>> = { ENOTFOUND: -3008, EAI_AGAIN: -3001 }

/**
 * An error as Node makes it: an errno has a number and the system call that failed, what OpenSSL, Node's TLS or undici say
 * has a code alone.
 */
export const errorOf = (code: string, syscall: string): Error =>
  /^E(?!RR_)/.test(code)
    ? Object.assign(new Error(`${syscall} ${code}`), { errno: errnoOf(code), code, syscall })
    : Object.assign(new Error(code), { code })

const errnoOf = (code: string): number =>
  libuv[code] ?? -(Object.entries(constants.errno).find(([name]) => name === code)?.[1] ?? 1)

/** What Node says when all addresses of a name refuse: it has no system call itself, only its parts have. */
export const aggregateOf = (code: string): Error =>
  Object.assign(new AggregateError([errorOf(code, "connect"), errorOf(code, "connect")]), { code })
