/**
 * A reverse proxy on 127.0.0.1 in front of one HTTP target that does to the traffic what networks do.
 *
 * It speaks HTTP on both sides, so a fault can select single exchanges on a kept-alive connection, and acts on the raw
 * client socket where the fault is one of the connection. Bytes pass at once (no Nagle, no buffering of answers;
 * request bodies are read whole, as their JSON-RPC method decides). Every exchange has its own connection to the target.
 */
import { Deferred, Effect, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import type { Socket } from "node:net"
import type { Facts, Fault } from "./Fault.ts"
import * as Exchange from "./internal/exchange.ts"
import * as Injections from "./internal/injections.ts"
import type { Mark } from "./internal/injections.ts"
import * as RequestLog from "./internal/requestLog.ts"
import { tally } from "./internal/tally.ts"
import type { RequestRecord } from "./internal/requestLog.ts"
import { reset } from "./internal/reset.ts"

export type { Mark } from "./internal/injections.ts"
export type { RequestRecord } from "./internal/requestLog.ts"

export class FaultProxyError extends Schema.TaggedError<FaultProxyError>()("FaultProxyError", {
  /** `listen`: the proxy could not listen on its port. */
  reason: Schema.Literals(["listen"]),
  cause: Schema.Defect()
}) {}

/** One fault in force. */
export interface Injected {
  readonly fault: Fault
  /** `performance.now()` when it was in force. */
  readonly since: number
  /** Waits for its first strike. */
  readonly struck: Effect.Effect<Mark>
  /** Removes this fault only. */
  readonly heal: Effect.Effect<void>
}

export interface Stats {
  /** Client connections that are open now. */
  readonly openConnections: number
  /** Exchanges under way now, black-holed ones included. */
  readonly inFlight: number
  /** Answers to GET that are being streamed now. */
  readonly openStreams: number
  readonly byMethod: Readonly<Record<string, number>>
  readonly byRpcMethod: Readonly<Record<string, number>>
}

export interface FaultProxy {
  readonly port: number
  /** `http://127.0.0.1:port`, without a trailing slash. */
  readonly url: string
  /** Applies a fault to existing and future traffic; returns when it is in force, which may be before it strikes. */
  readonly inject: (fault: Fault) => Effect.Effect<Injected>
  /** Waits for the first strike of the fault injected last; dies when none was injected. */
  readonly struck: Effect.Effect<Mark>
  /** All strikes so far, one for each exchange or idle connection that was affected. */
  readonly marks: Effect.Effect<ReadonlyArray<Mark>>
  /**
   * Removes every fault. What `SilentDrop` swallowed is lost and its connections end (see there); what `Delay` and
   * `Throttle` hold is delivered at once; after `Refuse` it listens again on the same port.
   */
  readonly heal: Effect.Effect<void>
  /** Every request so far, in the order in which they were complete. */
  readonly requests: Effect.Effect<ReadonlyArray<RequestRecord>>
  /** The first request, past or future, that fulfils the predicate: compare `at` to ask for a later one. */
  readonly awaitRequest: (predicate: (request: RequestRecord) => boolean) => Effect.Effect<RequestRecord>
  readonly stats: Effect.Effect<Stats>
}

export interface Options {
  readonly target: { readonly port: number }
  /** What a client sees when the target cannot be reached: its connection reset (default), or a 502. */
  readonly upstreamDown?: "reset" | 502
  /** Of requests and of strikes, how many are remembered, the last of each. Default: all. */
  readonly remembered?: number
}

/** Listens on an ephemeral port. When the scope closes, every socket on both sides is closed. */
export const make = (options: Options): Effect.Effect<FaultProxy, FaultProxyError, Scope.Scope> =>
  Effect.gen(function* () {
    const { remembered = Number.POSITIVE_INFINITY } = options
    const injections = Injections.make(remembered)
    const log = RequestLog.make(remembered)
    const sockets = new Set<Socket>()
    const exchanges = new Set<Exchange.Exchange>()

    const server = Http.createServer({ noDelay: true, keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
      const parts: Array<Buffer> = []
      request.on("error", () => {})
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => {
        // A half-closed connection takes requests and answers none.
        if (!request.socket.writable) return
        const body = Buffer.concat(parts)
        const facts = factsOf(request, body)
        const exchange = Exchange.start({
          targetPort: options.target.port,
          upstreamDown: options.upstreamDown ?? "reset",
          injections,
          request,
          response,
          body,
          facts,
          onSettled: (settled) => exchanges.delete(settled)
        })
        if (!response.closed) exchanges.add(exchange)
        log.add(recordOf(request, facts, exchange.forwarded))
      })
    })
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    })
    server.on("clientError", (_error, socket) => socket.destroy())

    const destroyAll = () => {
      for (const exchange of [...exchanges]) exchange.destroy()
      for (const socket of sockets) socket.destroy()
    }
    const port = yield* Effect.acquireRelease(listen(server, 0), () => close(server, destroyAll))

    const idleSockets = () => {
      const busy = new Set([...exchanges].map(({ client }) => client))
      return [...sockets].filter((socket) => !busy.has(socket))
    }

    const refuse = (injection: Injections.Injection) =>
      Effect.suspend(() => {
        injections.strike(injection, server)
        return close(server, () => {
          for (const socket of sockets) reset(socket)
          for (const exchange of [...exchanges]) exchange.destroy()
        })
      })

    const afflict = (injection: Injections.Injection) => {
      for (const exchange of [...exchanges]) exchange.afflict(injection)
      const { fault } = injection
      if (!Injections.isUniversal(fault) || (fault._tag !== "HalfClose" && fault._tag !== "Reset")) return
      for (const socket of idleSockets()) {
        injections.strike(injection, socket)
        if (fault._tag === "Reset") reset(socket)
        else socket.end()
      }
    }

    const remove = (injection: Injections.Injection) =>
      Effect.suspend(() => {
        injections.remove(injection)
        for (const exchange of [...exchanges]) exchange.heal(injection)
        const refused = injections.all().some(({ fault }) => fault._tag === "Refuse")
        return server.listening || refused ? Effect.void : Effect.asVoid(Effect.orDie(listen(server, port)))
      }).pipe(Effect.uninterruptible)

    let last: Injections.Injection | undefined
    const inject = (fault: Fault): Effect.Effect<Injected> =>
      Effect.gen(function* () {
        const injection = injections.add(fault)
        last = injection
        if (fault._tag === "Refuse") yield* refuse(injection)
        else afflict(injection)
        return {
          fault,
          since: performance.now(),
          struck: Deferred.await(injection.struck),
          heal: remove(injection)
        }
      }).pipe(Effect.uninterruptible)

    return {
      port,
      url: `http://127.0.0.1:${port}`,
      inject,
      struck: Effect.suspend(() =>
        last === undefined ? Effect.die("FaultProxy.struck: nothing was injected") : Deferred.await(last.struck)
      ),
      marks: Effect.sync(() => [...injections.marks]),
      heal: Effect.suspend(() => Effect.forEach(injections.all(), remove, { discard: true })),
      requests: Effect.sync(() => [...log.records]),
      awaitRequest: log.awaitRequest,
      stats: Effect.sync(() => ({
        openConnections: sockets.size,
        inFlight: exchanges.size,
        openStreams: [...exchanges].filter(({ facts, streaming }) => facts.method === "GET" && streaming()).length,
        byMethod: tally(log.records.map(({ method }) => method)),
        byRpcMethod: tally(log.records.flatMap(({ rpcMethods }) => rpcMethods))
      }))
    }
  })

const header = (value: string | ReadonlyArray<string> | undefined) => (typeof value === "string" ? value : value?.[0])

const factsOf = (request: Http.IncomingMessage, body: Buffer): Facts => {
  const sessionId = header(request.headers["mcp-session-id"])
  const lastEventId = header(request.headers["last-event-id"])
  return {
    method: request.method ?? "",
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(lastEventId === undefined ? {} : { lastEventId }),
    rpcMethods: RequestLog.rpcMethods(body.toString())
  }
}

const recordOf = (request: Http.IncomingMessage, facts: Facts, forwarded: boolean): RequestRecord => {
  const rpcMethod = facts.rpcMethods[0]
  return {
    ...facts,
    at: performance.now(),
    path: request.url ?? "",
    ...(rpcMethod === undefined ? {} : { rpcMethod }),
    headers: request.headers,
    forwarded
  }
}

/** Listens and succeeds with the port. A given port may be taken for a moment by an outgoing connection: tried again. */
const listen = (server: Http.Server, port: number): Effect.Effect<number, FaultProxyError> =>
  Effect.callback<number, FaultProxyError>((resume) => {
    const onError = (cause: unknown) => resume(Effect.fail(new FaultProxyError({ reason: "listen", cause })))
    server.once("error", onError)
    server.listen(port, "127.0.0.1", () => {
      server.off("error", onError)
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  }).pipe(port === 0 ? (self) => self : Effect.retry({ times: 40, schedule: Schedule.spaced("50 millis") }))

/** Stops listening at once, then `disconnect`s; resolves when no connection is left. */
const close = (server: Http.Server, disconnect: () => void): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (server.listening) server.close(() => resume(Effect.void))
    else resume(Effect.void)
    disconnect()
  })
