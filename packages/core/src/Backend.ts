/**
 * The thing a user holds: one MCP server that is kept alive.
 *
 * Made with {@link make} in a `Scope`, or as a service:
 * `class GitHub extends Context.Service<GitHub, Backend.Backend<Client>>()("app/GitHub") { static readonly layer =
 * Layer.effect(this, Backend.make({ … })) }`. It never fails because the server is down.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type CallError,
  CallRejected,
  ConfigurationError,
  type ConfigurationIssue,
  type SessionUnavailable
} from "./BackendError.ts"
import { type ConnectionState, Json } from "./ConnectionState.ts"
import * as CallLimit from "./CallLimit.ts"
import type { Connector } from "./Connector.ts"
import * as Audience from "./internal/audience.ts"
import * as Call from "./internal/call.ts"
import * as Made from "./internal/made.ts"
import * as Pin from "./internal/pin.ts"
import { poolOf } from "./internal/pool.ts"
import { generationOf } from "./internal/steps.ts"
import * as Supervisor from "./internal/supervisor.ts"
import { provided } from "./internal/transports.ts"
import * as Waiting from "./internal/waiting.ts"
import * as KeepaliveEvent from "./KeepaliveEvent.ts"
import * as KeepalivePolicy from "./KeepalivePolicy.ts"
import type { Lists } from "./Lists.ts"
import type { Command } from "./engine/Signal.ts"

// ---------------------------------------------------------------------------------------------------------- models

/** @since 0.1.0 */
export type { PinnedSession } from "./internal/pin.ts"

/**
 * What every backend has and nothing else does.
 *
 * @since 0.1.0
 */
export const TypeId = "~@vmcp-keepalive/core/Backend"

/**
 * One MCP server, kept alive until the scope in which it was made closes.
 *
 * @since 0.1.0
 */
export interface Backend<out Client> extends Pipeable.Pipeable {
  readonly [TypeId]: typeof TypeId
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

  readonly state: Effect.Effect<ConnectionState>
  /** what is in force: every number decided */
  readonly policy: Effect.Effect<KeepalivePolicy.KeepalivePolicy>
  /** The current state first, then every change, to the end of the backend's scope. */
  readonly changes: Stream.Stream<ConnectionState>
  /**
   * What happens from now on, to the end of the backend's scope. A reader that falls behind by more than 4096 events loses
   * the oldest of them.
   */
  readonly events: Stream.Stream<KeepaliveEvent.KeepaliveEvent>

  /**
   * What the server lists: its tools, prompts and resources, by name, with fingerprints. Read beside the calls on every new session,
   * and again when the server says that it has changed; while there is no session, what is known of the last one. The event
   * `ListChanged` tells of every difference.
   */
  readonly lists: Effect.Effect<Lists>

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
export const make = Effect.fnUntraced(function* <Client, R = never, SetupR = never>(
  options: Options<Client, R, SetupR>
): Effect.fn.Return<Backend<Client>, ConfigurationError, Scope.Scope | R | SetupR> {
  const { connector, id } = options
  const inherited = yield* KeepalivePolicy.Current
  const policy = yield* settled(options, inherited)
  const observers = yield* KeepaliveEvent.observers
  const audience = yield* Audience.Current
  const pool = poolOf(yield* CallLimit.Current)
  const supervisor = yield* Supervisor.make({ id, connector, policy, setup: options.setup, observers, audience, pool })
  // after its first event, so that whoever compares what they observed with this count never lacks one that is being made
  Made.count()
  return new Supervised(supervisor, { connector, inherited, own: options.policy })
})

/**
 * Fails with everything that is wrong in the policy and the connector's settings, as {@link make} does, and starts nothing.
 *
 * @since 0.1.0
 */
export const check = <Client, R = never>(
  options: Pick<Options<Client, R>, "id" | "connector" | "policy">
): Effect.Effect<void, ConfigurationError, R> =>
  Effect.flatMap(KeepalivePolicy.Current, (inherited) => Effect.asVoid(settled(options, inherited)))

/** What can be wrong in what a backend is made of. */
interface Settings<R> extends Pick<Options<unknown>, "id" | "policy"> {
  readonly connector: Pick<Connector<unknown, R>, "issues" | "connectTimeout" | "supportsOptions">
}

/** The policy that is in force, where nothing is wrong. */
const settled = Effect.fnUntraced(function* <R>(
  { connector, id, policy: own }: Settings<R>,
  inherited: KeepalivePolicy.Options
) {
  const laid = own === undefined ? inherited : KeepalivePolicy.overlay(inherited, own)
  const { issues, policy } = KeepalivePolicy.resolve(laid, connector)
  const wrong: ReadonlyArray<ConfigurationIssue> = [
    ...(id === "" ? [{ path: ["id"], expected: "a name that is not empty" }] : []),
    ...(yield* connector.issues),
    ...issues
  ]
  if (wrong.length > 0) return yield* new ConfigurationError({ backend: id, issues: wrong })
  return policy
})

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

// ----------------------------------------------------------------------------------------------------------- internal

/** A backend is its supervisor with a face: what it can be asked is made when it is asked. */
class Supervised<Client> extends Pipeable.Class implements Backend<Client> {
  readonly [TypeId] = TypeId
  readonly #supervisor: Supervisor.Supervisor<Client>
  readonly #inherited: KeepalivePolicy.Options
  #own: KeepalivePolicy.Options | undefined
  #connector: Connector<Client, unknown>
  readonly use: Backend<Client>["use"]
  readonly pinned: Backend<Client>["pinned"]

  constructor(supervisor: Supervisor.Supervisor<Client>, { connector, inherited, own }: MadeOf<Client>) {
    super()
    this.#supervisor = supervisor
    this.#connector = connector
    this.#inherited = inherited
    this.#own = own
    // of their own, so that they may be taken from it
    this.use = (callback, options) => Call.use(supervisor, callback, options)
    this.pinned = (body) => Pin.pinned(supervisor, body)
  }

  get id(): string {
    return this.#supervisor.id
  }

  get state(): Effect.Effect<ConnectionState> {
    return Effect.sync(() => this.#supervisor.state)
  }

  get policy(): Effect.Effect<KeepalivePolicy.KeepalivePolicy> {
    return Effect.sync(() => this.#supervisor.policy)
  }

  get lists(): Effect.Effect<Lists> {
    return Effect.sync(() => this.#supervisor.lists)
  }

  get changes(): Stream.Stream<ConnectionState> {
    return this.#reading(
      () => [this.#supervisor.state],
      (event) => (event._tag === "StateChanged" ? event.to : undefined)
    )
  }

  get events(): Stream.Stream<KeepaliveEvent.KeepaliveEvent> {
    return this.#reading(
      () => [],
      (event) => event
    )
  }

  get probe(): Effect.Effect<ConnectionState, SessionUnavailable> {
    return Effect.suspend(() =>
      generationOf(this.#supervisor.state) === undefined
        ? Effect.fail(Waiting.unavailable(this.#supervisor))
        : this.#command("probe")
    )
  }

  get reconnect(): Effect.Effect<ConnectionState, CallRejected> {
    return Effect.suspend(() =>
      this.#isShut ? Effect.fail(Waiting.rejected(this.#supervisor)) : this.#command("reconnect")
    )
  }

  get isolate(): Effect.Effect<void> {
    return Effect.sync(() => this.#supervisor.send({ _tag: "Operator", command: "isolate" }))
  }

  get reset(): Effect.Effect<void> {
    return Effect.sync(() => this.#supervisor.send({ _tag: "Operator", command: "reset" }))
  }

  reconfigure<R = never>({
    connector,
    policy: own = this.#own
  }: Reconfiguration<Client, R>): Effect.Effect<void, ConfigurationError, R> {
    return Effect.contextWith((context: Context.Context<R>) => {
      const other = connector === undefined || connector === this.#connector ? undefined : provided(connector, context)
      // one that has passed is not asked again
      const asked = other ?? { ...this.#connector, issues: noIssues }
      return Effect.map(settled({ id: this.id, connector: asked, policy: own }, this.#inherited), (policy) => {
        this.#own = own
        if (connector !== undefined) this.#connector = connector
        this.#supervisor.reconfigure({ connector: other, policy })
      })
    })
  }

  get awaitConnected(): Effect.Effect<void, CallRejected> {
    const supervisor = this.#supervisor
    return Effect.callback((resume) => {
      const look = () => {
        if (this.#isShut) resume(Effect.fail(Waiting.rejected(supervisor)))
        else if (supervisor.current) resume(Effect.void)
        else return false
        return true
      }
      supervisor.send({ _tag: "CallStarted" })
      if (look()) return
      supervisor.waiters.add(look)
      return Effect.sync(() => supervisor.waiters.delete(look))
    })
  }

  /** the state as `ConnectionState.Json` has it */
  toJSON(): unknown {
    return { _id: "Backend", id: this.id, state: encodeState(this.#supervisor.state) }
  }

  override toString(): string {
    return `Backend(${this.id}, ${this.#supervisor.state._tag})`
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return { _id: "Backend", id: this.id, state: this.#supervisor.state }
  }

  get #isShut(): boolean {
    const { tag } = this.#supervisor
    return tag === "Isolated" || tag === "Closed"
  }

  /** Gives the command and waits until what it started has ended. */
  #command(command: Command): Effect.Effect<ConnectionState> {
    const supervisor = this.#supervisor
    return Effect.callback((resume) => {
      const done = () => resume(Effect.sync(() => supervisor.state))
      supervisor.resting.add(done)
      supervisor.send({ _tag: "Operator", command })
      return Effect.sync(() => supervisor.resting.delete(done))
    })
  }

  #reading<A>(
    first: () => ReadonlyArray<A>,
    select: (event: KeepaliveEvent.KeepaliveEvent) => A | undefined
  ): Stream.Stream<A> {
    const { announcer } = this.#supervisor
    return Stream.callback(
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
            announcer.add(listener)
            if (this.#supervisor.state._tag === "Closed") listener.end()
            return listener
          }),
          (listener) => Effect.sync(() => announcer.delete(listener))
        ),
      { bufferSize: readerBuffer, strategy: "sliding" }
    )
  }
}

/** What a backend was made of, and may be made of anew. */
interface MadeOf<Client> {
  readonly connector: Connector<Client, unknown>
  /** the policy of the context in which it was made */
  readonly inherited: KeepalivePolicy.Options
  /** its own, which is laid over that */
  readonly own: KeepalivePolicy.Options | undefined
}

const noIssues = Effect.succeed<ReadonlyArray<ConfigurationIssue>>([])

const encodeState = Schema.encodeSync(Json)

/** How many events a reader may be behind. */
const readerBuffer = 4096
