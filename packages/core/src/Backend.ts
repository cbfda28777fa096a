/**
 * The thing a user holds: one MCP server that is kept alive.
 *
 * Made with {@link make} in a `Scope`, or as a service:
 * `class GitHub extends Context.Service<GitHub, Backend.Backend<Client>>()("app/GitHub") { static readonly layer =
 * Layer.effect(this, Backend.make({ … })) }`. It never fails because the server is down.
 */
import * as Effect from "effect/Effect"
import type * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { CallError, CallRejected, ConfigurationError, SessionUnavailable } from "./BackendError.ts"
import type { Change, Filter } from "./Changes.ts"
import type { Connector } from "./Connector.ts"
import * as Face from "./internal/face.ts"
import * as Made from "./internal/made.ts"
import type * as Pin from "./internal/pin.ts"
import * as KeepalivePolicy from "./KeepalivePolicy.ts"
import type { Lists } from "./Lists.ts"
import type { Operable } from "./Operable.ts"

// ---------------------------------------------------------------------------------------------------------- models

/** @since 0.1.0 */
export type { PinnedSession } from "./internal/pin.ts"

/**
 * What every backend has and nothing else does.
 *
 * @since 0.1.0
 */
export const TypeId: "~@vmcp-keepalive/core/Backend" = Face.TypeId

/**
 * One MCP server, kept alive until the scope in which it was made closes.
 *
 * @since 0.1.0
 */
export interface Backend<out Client> extends Operable, Pipeable.Pipeable {
  readonly [TypeId]: typeof TypeId

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
   *
   * Where the callback returns an effect, it is run in the context of the caller and interrupted with it, with the session, and
   * before it is run again. What it fails with after the server has answered, or before it has asked, is what the call fails
   * with.
   */
  readonly use: <A, E = never, R = never>(
    callback: (client: Client, signal: AbortSignal) => PromiseLike<A> | Effect.Effect<A, E, R>,
    options?: UseOptions
  ) => Effect.Effect<A, CallError | E, R>

  /**
   * Runs several calls on one session, for servers whose session holds state (a browser, a transaction). As soon as
   * the session is replaced, its calls fail with `SessionReplaced`: nothing of it continues on another one. While the session is
   * held for a long call, further ones wait, at most `waitForSession`.
   */
  readonly pinned: <A, E, R>(
    body: (session: Pin.PinnedSession<Client>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SessionUnavailable | CallRejected, R>

  /** what is in force: every number decided */
  readonly policy: Effect.Effect<KeepalivePolicy.KeepalivePolicy>
  /** what it is made of now, from which another one like it can be made */
  readonly source: Effect.Effect<Source<Client>>
  /**
   * What the server lists: its tools, prompts and resources, by name, with fingerprints. Read beside the calls on every new session,
   * and again when the server says that it has changed; while there is no session, what is known of the last one. The event
   * `ListChanged` tells of every difference.
   */
  readonly lists: Effect.Effect<Lists>

  /**
   * Hears of changes from now on, on every session: the server is asked on each to tell of them, in the way of its era, and told when
   * the stream is closed. It ends with the backend.
   *
   * After a gap, from the end of what was heard on one session or connection until the server has acknowledged the next, everything of
   * the filter may have changed, and is told once. Nothing is told at first, unless `initially` says so. A change that a reader has not taken yet is not told twice,
   * so that a slow one loses nothing; where more than 1,024 resources wait that were not asked for by their own URI, it is said of
   * those that were.
   *
   * It is no use of the backend: it wakes none that is idle, does not keep one from being so (`idleAfter`; what changes while it
   * is counts as in a gap), delays no connecting, and is no reason to probe.
   */
  listen(filter: Filter, options?: ListenOptions): Stream.Stream<Change>

  /**
   * Goes on with another connector, another policy of its own, or both; what is left out stays. A policy is changed in place: the
   * session lives on. With another connector it is a planned replacement as with `reconnect`: a new session first, where the transport can,
   * which is tried again with `backoff` while the old one serves; without a session it attempts at once, with a closed
   * circuit. Fails with everything that is wrong in them, and then nothing has changed.
   */
  reconfigure<R = never>(changes: Reconfiguration<Client, R>): Effect.Effect<void, ConfigurationError, R>
  /** Waits, without a bound, until a session is open that takes calls; wakes an idle backend. Fails only when the backend is isolated or its scope has ended. */
  readonly awaitConnected: Effect.Effect<void, CallRejected>
}

/**
 * What a caller knows of a call.
 *
 * @since 0.1.0
 */
export interface UseOptions {
  /** whether executing it twice does the same as once, so that it may be sent again when its outcome is unknown; default false */
  readonly idempotent?: boolean | undefined
}

/**
 * How changes are heard of.
 *
 * @since 0.1.0
 */
export interface ListenOptions {
  /**
   * Whether the beginning is as a gap: everything of the filter is told once as soon as the server has acknowledged that it tells, so
   * that who reads what it is told of misses nothing; default false
   */
  readonly initially?: boolean | undefined
}

/**
 * What a backend is made of.
 *
 * @since 0.1.0
 */
export interface Options<Client, R = never, SetupR = never> {
  /** names the backend in errors, events and metrics; not empty */
  readonly id: string
  /** how to reach it: from a transport package */
  readonly connector: Connector<Client, R>
  /** laid over the policy of the context */
  readonly policy?: KeepalivePolicy.Options | undefined
  /**
   * Runs on every new session before callers get it: subscriptions, log level. It is part of the attempt and of its
   * `connectTimeout`; its failure is a failed attempt with reason `setup`.
   */
  readonly setup?: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
}

/**
 * What a backend is made of, as far as another one can be made of it too.
 *
 * @since 0.1.0
 */
export interface Source<Client> {
  /** needs nothing more */
  readonly connector: Connector<Client>
  /** its own policy, laid over that of the context in which it was made: what another context says does not matter */
  readonly policy: KeepalivePolicy.Options
}

/**
 * What of a backend may change while it lives.
 *
 * @since 0.1.0
 */
export interface Reconfiguration<Client, R = never> {
  /** how to reach it from now on; the same one again changes nothing */
  readonly connector?: Connector<Client, R> | undefined
  /** in place of the policy that the backend was made with, to be laid over that of the context in which it was made */
  readonly policy?: KeepalivePolicy.Options | undefined
}

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * Makes a backend and, unless the policy says `connect: "lazy"`, begins to connect. Fails with everything that is wrong
 * in the policy and the connector's settings, before anything starts.
 *
 * @since 0.1.0
 */
export const make = <Client, R = never, SetupR = never>(
  options: Options<Client, R, SetupR>
): Effect.Effect<Backend<Client>, ConfigurationError, Scope.Scope | R | SetupR> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.Scope, (scope) =>
      Effect.tap(Face.make(options, restore), (face) => Scope.addFinalizerExit(scope, Face.ending(face)))
    )
  )

/**
 * Fails with everything that is wrong in the policy and the connector's settings, as {@link make} does, and starts nothing.
 *
 * @since 0.1.0
 */
export const check = <Client, R = never>(
  options: Pick<Options<Client, R>, "id" | "connector" | "policy">
): Effect.Effect<void, ConfigurationError, R> =>
  Effect.flatMap(KeepalivePolicy.Current, (inherited) => Effect.asVoid(Face.settled(options, inherited)))

/**
 * How many backends this process has made so far, closed ones included, by all copies of this package that it has loaded.
 *
 * @since 0.1.0
 */
export const made: () => number = Made.read

// ------------------------------------------------------------------------------------------------------------- guards

/**
 * Whether it is a backend.
 *
 * @since 0.1.0
 */
export const isBackend = (value: unknown): value is Backend<unknown> => Predicate.hasProperty(value, TypeId)
