/**
 * A server in this process, for tests of apps that hold backends: a server of `@modelcontextprotocol/sdk` 1.x that the test writes,
 * and a connector to it whose client is the `Client` that the app has in production. What goes wrong is told by the test: the server
 * dies, freezes, refuses, forgets its sessions, loses an answer.
 *
 * Between client and server there is what the transports over HTTP and stdio stand on, so that calls settle as with them: at most
 * once, with the same states, errors and events. There is no network and no timer: time comes from the `Clock` of the context,
 * so that `TestClock` drives it.
 *
 * ```ts
 * import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
 * import { Backend } from "@vmcp-keepalive/core"
 * import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function* () {
 *   const server = TestServer.make({ server: () => new McpServer({ name: "billing", version: "1.0.0" }) })
 *   const backend = yield* Backend.make({ id: "billing", connector: server.connector })
 *   yield* backend.awaitConnected
 *   yield* server.kill()
 * })
 * ```
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector, FailureDetail, FailureReason } from "@vmcp-keepalive/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as CallView from "../CallView.ts"
import type { ClientKind } from "../ClientKind.ts"
import * as Faults from "../internal/testing/faults.ts"
import type { Server } from "../internal/testing/serverEnd.ts"
import * as Session from "../internal/testing/session.ts"
import { Wire } from "../internal/testing/wire.ts"
import type { Request } from "../Message.ts"
import * as Peer from "../Peer.ts"

// ---------------------------------------------------------------------------------------------------------- models

/** @since 0.1.0 */
export type { Refusal } from "../internal/testing/faults.ts"
/** @since 0.1.0 */
export type { Server } from "../internal/testing/serverEnd.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /**
   * Makes the server of a session, an `McpServer` or a `Server`; a fresh one each time, as each connects once. What it throws is
   * in the errors of the backend, as what a child process wrote before it exited.
   */
  readonly server: () => Server | Promise<Server>
  /** Makes the client of a session; a fresh one each time. Default: a client without capabilities and handlers. */
  readonly client?: (() => Client) | undefined
  /** Whether the server keeps something for each session, as over stdio, and over HTTP with a session id. Default: true */
  readonly stateful?: boolean | undefined
}

/**
 * A call of a tool that the server has begun to execute.
 *
 * @since 0.1.0
 */
export interface Call {
  readonly tool: string
  readonly arguments: Readonly<Record<string, unknown>>
  /** the session in which it came, also its `sessionId`: a number that ascends from 1 */
  readonly session: number
}

/**
 * What the server has counted.
 *
 * @since 0.1.0
 */
export interface Sessions {
  /** how often it was tried to open one, refused attempts included */
  readonly attempts: number
  /** those that the server has made, ever */
  readonly made: number
  /** those that the server has now, drained and forgotten ones included */
  readonly open: number
}

/**
 * A server, what it can be made to do, and what it has counted.
 *
 * @since 0.1.0
 */
export interface TestServer {
  /** For `Backend.make`; any number of backends may have it. */
  readonly connector: Connector.Connector<Client>
  /** The same without an SDK, for what is made of peers: a kept connection of `@vmcp-keepalive/host`. */
  readonly peerConnector: Connector.Connector<Peer.Peer>

  // What goes wrong. Each holds for all sessions.

  /**
   * The server dies, and another one is there at once: each session is known to be dead, as when a child process exits. Nothing
   * that was not read is executed; the answers of handlers that are at work are lost, and newer versions of the SDK abort their
   * signals. With {@link refuse} before it, none is there. Default reason: `process_exit`
   */
  readonly kill: (reason?: FailureReason.FailureReason) => Effect.Effect<void>
  /**
   * The server stops, as with SIGSTOP: it reads nothing and says nothing until {@link thaw}, and no session can be opened.
   * What is sent to it meanwhile it reads then, also of those who wait no longer.
   */
  readonly freeze: Effect.Effect<void>
  /** The server goes on. */
  readonly thaw: Effect.Effect<void>
  /**
   * No session can be opened until {@link accept}, for this reason; sessions that are open go on. `retryAfter` is what the server
   * asks for where it is busy. Default: `refused`, nobody listens
   */
  readonly refuse: (
    reason?: Faults.Refusal,
    options?: { readonly retryAfter?: Duration.Input | undefined }
  ) => Effect.Effect<void>
  /** Sessions can be opened again. */
  readonly accept: Effect.Effect<void>
  /** The server forgets the sessions that are open: it answers what it has begun, and refuses what comes next (404). */
  readonly forget: Effect.Effect<void>
  /** The next answer to a call of this tool, or of any, is lost: it was executed, and the connection breaks before its answer. */
  readonly dropAnswer: (tool?: string) => Effect.Effect<void>
  /** How long everything takes that the server says from now on, by the `Clock` of the context. Default: no time */
  readonly delay: (latency: Duration.Input) => Effect.Effect<void>
  /** Nothing goes wrong any more. What has been lost, sessions included, stays lost. */
  readonly recover: Effect.Effect<void>

  // What has been counted.

  /** the calls that the server has begun to execute, in order */
  readonly calls: Effect.Effect<ReadonlyArray<Call>>
  /** Waits until the server has begun to execute so many calls of the tool in all, in whatever session; default: one. */
  readonly untilCalled: (tool: string, times?: number) => Effect.Effect<void>
  readonly sessions: Effect.Effect<Sessions>
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a server that does everything right until it is told otherwise.
 *
 * @since 0.1.0
 */
export const make = (options: Options): TestServer => {
  const faults = Faults.none()
  const calls: Array<Call> = []
  const wires = new Set<Wire>()
  const open = new Set<Wire>()
  const waiting = new Set<() => void>()
  let attempts = 0
  let made = 0
  let connected = 0

  const called = (session: number, json: string): void => {
    const { params }: Request = JSON.parse(json)
    calls.push({ tool: String(params?.["name"]), arguments: { ...Object(params?.["arguments"]) }, session })
    for (const look of [...waiting]) look()
  }

  const makeWire = (host: Connector.SessionHost) =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const run = yield* FiberSet.makeRuntime<never>()
      const number = ++connected
      const wire: Wire = new Wire({
        number,
        host,
        faults,
        server: () => {
          made++
          open.add(wire)
          return options.server()
        },
        now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
        fork: (effect) => void run(effect),
        called: (json) => called(number, json),
        ended: () => {
          wires.delete(wire)
          open.delete(wire)
        }
      })
      wires.add(wire)
      return wire
    })

  const thaw = () => {
    faults.frozen = false
    for (const wire of [...wires]) wire.thaw()
  }

  const untilCalled = (tool: string, times: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const begun = Deferred.makeUnsafe<void>()
      const look = () => {
        if (calls.filter((call) => call.tool === tool).length >= times) Deferred.doneUnsafe(begun, Effect.void)
      }
      waiting.add(look)
      look()
      // The handler is entered a few microtasks after its request has come, and before the next turn of the event loop.
      return Effect.andThen(Deferred.await(begun), Effect.yieldNow).pipe(
        Effect.ensuring(Effect.sync(() => waiting.delete(look)))
      )
    })

  const connectorOf = <C>(kind: ClientKind<C>): Connector.Connector<C> => ({
    kind: "testing",
    exclusive: false,
    connectTimeout: "30 seconds",
    issues: kind.issues,
    supportsOptions: true,
    open: (host) =>
      Effect.suspend(() => {
        attempts++
        const { latency, refusal } = faults
        return refusal === undefined
          ? Session.open({ kind, stateful: options.stateful ?? true, wire: makeWire(host) }, host)
          : Effect.andThen(Effect.sleep(latency), Effect.fail(refusal))
      })
  })

  return {
    connector: connectorOf(CallView.kind(options.client)),
    peerConnector: connectorOf(Peer.kind()),
    kill: (reason = "process_exit") =>
      Effect.sync(() => {
        for (const wire of [...wires]) wire.kill(reason, detailOf(reason))
      }),
    freeze: Effect.sync(() => {
      faults.frozen = true
    }),
    thaw: Effect.sync(thaw),
    refuse: (reason = "refused", { retryAfter } = {}) =>
      Effect.sync(() => {
        faults.refusal = Faults.evidenceOf(reason, retryAfter)
      }),
    accept: Effect.sync(() => {
      faults.refusal = undefined
    }),
    forget: Effect.sync(() => {
      for (const wire of wires) wire.isForgotten = true
    }),
    dropAnswer: (tool) => Effect.sync(() => void faults.dropped.push(tool)),
    delay: (latency) =>
      Effect.sync(() => {
        faults.latency = Duration.toMillis(latency)
      }),
    recover: Effect.sync(() => {
      Faults.clear(faults)
      thaw()
    }),
    calls: Effect.sync(() => [...calls]),
    untilCalled: (tool, times = 1) => untilCalled(tool, times),
    sessions: Effect.sync(() => ({ attempts, made, open: open.size }))
  }
}

/** What is seen of a child process that is killed. */
const detailOf = (reason: FailureReason.FailureReason): FailureDetail.FailureDetail | undefined =>
  reason === "process_exit" ? { summary: "signal SIGKILL", output: [] } : undefined
