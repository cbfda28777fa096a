/**
 * The thing a user holds: one MCP server that is kept alive.
 *
 * Made with {@link make} in a `Scope`, or as a service:
 * `class GitHub extends Context.Service<GitHub, Backend.Backend<Client>>()("app/GitHub") { static readonly layer =
 * Layer.effect(this, Backend.make({ … })) }`. It never fails because the server is down.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type CallError,
  CallRejected,
  ConfigurationError,
  type ConfigurationIssue,
  type SessionUnavailable
} from "./BackendError.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import type { Connector } from "./Connector.ts"
import * as Call from "./internal/call.ts"
import type { Kept } from "./internal/judgement.ts"
import * as Pin from "./internal/pin.ts"
import { generationOf } from "./internal/steps.ts"
import * as Supervisor from "./internal/supervisor.ts"
import * as Waiting from "./internal/waiting.ts"
import * as KeepaliveEvent from "./KeepaliveEvent.ts"
import * as KeepalivePolicy from "./KeepalivePolicy.ts"
import type { Command } from "./Signal.ts"

// ---------------------------------------------------------------------------------------------------------- models

export type { PinnedSession } from "./internal/pin.ts"

/** One MCP server, kept alive until the scope in which it was made closes. */
export interface Backend<out Client> {
  readonly id: string

  /**
   * Runs any call of the client on the current session, and settles exactly once.
   *
   * While the backend is connected it runs at once; without a session, and while the session is held for a long call alone, it
   * waits, at most `waitForSession`; when the backend is known to be bad it is rejected at once. When the session dies under it, it fails within milliseconds,
   * or is run again on the next session if nothing would be executed twice. Where only the session is given up, since the
   * server refuses it or a call without probes has failed, it may still be answered: for `timeout` where the server has
   * forgotten the session, else for `drainTimeout`.
   *
   * The client that the callback gets has no timeout unless the caller sets one. Pass `signal` on to the client's
   * methods, so that interruption cancels them; it is aborted when the effect is interrupted, when the session ends and
   * before the callback is run again. (A callback that names the client alone gets a signal that is never aborted.)
   */
  readonly use: <A>(
    callback: (client: Client, signal: AbortSignal) => PromiseLike<A>,
    options?: UseOptions
  ) => Effect.Effect<A, CallError>

  /**
   * Runs several calls on one session, for servers whose session holds state (a browser, a transaction). As soon as
   * the session is replaced, its calls fail with `SessionReplaced`: nothing of it continues on another one. While the session is
   * held for a long call, further ones wait, at most `waitForSession`.
   */
  readonly pinned: <A, E, R>(
    body: (session: Pin.PinnedSession<Client>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SessionUnavailable | CallRejected, R>

  readonly state: Effect.Effect<ConnectionState>
  /** The current state first, then every change, to the end of the backend's scope. */
  readonly changes: Stream.Stream<ConnectionState>
  /**
   * What happens from now on, to the end of the backend's scope. A reader that falls behind by more than 4096 events loses
   * the oldest of them.
   */
  readonly events: Stream.Stream<KeepaliveEvent.KeepaliveEvent>

  /** Probes now, or joins the probe that is running, and returns the state that follows. Without a session it fails. */
  readonly probe: Effect.Effect<ConnectionState, SessionUnavailable>
  /**
   * Replaces the session: the new one first, while the old one drains, where the transport and the server can. Without
   * a session it attempts now, in an open circuit as the trial. Returns the state that follows; an isolated backend
   * rejects it.
   */
  readonly reconnect: Effect.Effect<ConnectionState, CallRejected>
  /** Closes the backend until `reset`: calls in flight end as `OutcomeUnknown`, further ones are rejected. */
  readonly isolate: Effect.Effect<void>
  /** Forgets failures, opens the backend again if it was isolated, and attempts or probes now. */
  readonly reset: Effect.Effect<void>
  /** Waits, without a bound, until a session is open that takes calls; wakes an idle backend. Fails only when the backend is isolated or its scope has ended. */
  readonly awaitConnected: Effect.Effect<void, CallRejected>
}

/** What a caller knows of a call. */
export interface UseOptions {
  /** whether executing it twice does the same as once, so that it may be sent again when its outcome is unknown; default false */
  readonly idempotent?: boolean
}

/** What a backend is made of. */
export interface Options<Client, R = never, SetupR = never> {
  /** names the backend in errors, events and metrics; not empty */
  readonly id: string
  /** how to reach it: from a transport package */
  readonly connector: Connector<Client, R>
  /** laid over the policy of the context */
  readonly policy?: KeepalivePolicy.Options
  /**
   * Runs on every new session before callers get it: subscriptions, log level. It is part of the attempt and of its
   * `connectTimeout`; its failure is a failed attempt with reason `setup`.
   */
  readonly setup?: (client: Client) => Effect.Effect<unknown, unknown, SetupR>
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a backend and, unless the policy says `connect: "lazy"`, begins to connect. Fails with everything that is wrong
 * in the policy and the connector's settings, before anything starts.
 */
export const make = Effect.fnUntraced(function* <Client, R = never, SetupR = never>(
  options: Options<Client, R, SetupR>
): Effect.fn.Return<Backend<Client>, ConfigurationError, Scope.Scope | R | SetupR> {
  const { connector, id } = options
  const inherited = yield* KeepalivePolicy.Current
  const laid = options.policy === undefined ? inherited : KeepalivePolicy.overlay(inherited, options.policy)
  const { issues, policy } = KeepalivePolicy.resolve(laid, connector)
  const wrong: ReadonlyArray<ConfigurationIssue> = [
    ...(id === "" ? [{ path: ["id"], expected: "a name that is not empty" }] : []),
    ...(yield* connector.issues),
    ...issues
  ]
  if (wrong.length > 0) return yield* new ConfigurationError({ backend: id, issues: wrong })

  const observers = yield* KeepaliveEvent.observers
  const supervisor = yield* Supervisor.make({ id, connector, policy, setup: options.setup, observers })
  // after its first event, so that whoever compares what they observed with this count never lacks one that is being made
  making.count++
  const kept: Kept<Client> = { id, policy, supervisor }

  const isShut = () => supervisor.state()._tag === "Isolated" || supervisor.state()._tag === "Closed"
  /** Gives the command and waits until what it started has ended. */
  const command = (command: Command): Effect.Effect<ConnectionState> =>
    Effect.callback((resume) => {
      const done = () => resume(Effect.sync(supervisor.state))
      supervisor.resting.add(done)
      supervisor.send({ _tag: "Operator", command })
      return Effect.sync(() => supervisor.resting.delete(done))
    })

  const reading = <A>(
    first: () => ReadonlyArray<A>,
    select: (event: KeepaliveEvent.KeepaliveEvent) => A | undefined
  ): Stream.Stream<A> =>
    Stream.callback(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const listener = {
              observe: (event: KeepaliveEvent.KeepaliveEvent) => {
                const selected = select(event)
                if (selected !== undefined) Queue.offerUnsafe(queue, selected)
              },
              end: () => Queue.endUnsafe(queue)
            }
            for (const item of first()) Queue.offerUnsafe(queue, item)
            supervisor.announcer.listeners.add(listener)
            if (supervisor.state()._tag === "Closed") listener.end()
            return listener
          }),
          (listener) => Effect.sync(() => supervisor.announcer.listeners.delete(listener))
        ),
      { bufferSize: readerBuffer, strategy: "sliding" }
    )

  const backend: Backend<Client> = {
    id,
    use: (callback, useOptions) => Call.use(kept, callback, useOptions),
    pinned: (body) => Pin.pinned(kept, body),
    state: Effect.sync(supervisor.state),
    changes: reading(
      () => [supervisor.state()],
      (event) => (event._tag === "StateChanged" ? event.to : undefined)
    ),
    events: reading(
      () => [],
      (event) => event
    ),
    probe: Effect.suspend(() =>
      generationOf(supervisor.state()) === undefined ? Effect.fail(Waiting.unavailable(kept)) : command("probe")
    ),
    reconnect: Effect.suspend(() => (isShut() ? Effect.fail(Waiting.rejected(kept)) : command("reconnect"))),
    isolate: Effect.sync(() => supervisor.send({ _tag: "Operator", command: "isolate" })),
    reset: Effect.sync(() => supervisor.send({ _tag: "Operator", command: "reset" })),
    awaitConnected: Effect.callback<void, CallRejected>((resume) => {
      const look = () => {
        if (isShut()) resume(Effect.fail(Waiting.rejected(kept)))
        else if (supervisor.current()) resume(Effect.void)
        else return false
        return true
      }
      supervisor.send({ _tag: "CallStarted" })
      if (look()) return
      supervisor.waiters.add(look)
      return Effect.sync(() => supervisor.waiters.delete(look))
    })
  }
  return backend
})

/** How many events a reader may be behind. */
const readerBuffer = 4096

// ------------------------------------------------------------------------------------------------------------- getters

/** How many backends this process has made so far, closed ones included, by all copies of this package that it has loaded. */
export const made = (): number => making.count

// one count for all copies of this package that a process may have loaded
const makingKey = Symbol.for("@vmcp-keepalive/core/Backend/made")
const making: { count: number } = Reflect.get(globalThis, makingKey) ?? { count: 0 }
Reflect.set(globalThis, makingKey, making)
