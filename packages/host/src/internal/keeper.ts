/**
 * Kept connections for programs without Effect: what runs them, and who listens.
 */
import { type Backend, BackendError, type ConnectionState, KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as KeptPeer from "../KeptPeer.ts"
import type { Deliver } from "./delivery.ts"

/** What a kept connection of a program without Effect is made of: `services` where its connector needs some, and only there. */
export type Options<R = never> = Settings<R> &
  ([R] extends [never] ? { readonly services?: undefined } : { readonly services: Layer.Layer<R, unknown> })

/** The same, whatever the connector needs. */
export interface Settings<R = never> extends KeptPeer.Options<R> {
  /**
   * Metrics, logs and spans, such as `KeepaliveMetrics.layerPrometheus({ port: 9464 })` of `@vmcp-keepalive/otel`. A layer that is
   * given to several connections is built once for all of them, and ends with the last.
   */
  readonly telemetry?: Layer.Layer<never, unknown> | undefined
  /** What the connector needs, where it needs something: its type says so. */
  readonly services?: Layer.Layer<R, unknown> | undefined
}

/** What a program without Effect sees of its connections. */
export interface Observed {
  /** of the newest connection; `Idle` before there is one */
  readonly state: ConnectionState.ConnectionState
  /**
   * Calls the listener at each change of the state (`change`), or for everything that happens (`event`), synchronously; what it
   * returns takes the listener away. What a listener throws is an uncaught error of the process.
   */
  readonly on: On
}

/** See {@link Observed.on}. */
export interface On {
  (name: "change", listener: (state: ConnectionState.ConnectionState) => void): () => void
  (name: "event", listener: (event: KeepaliveEvent.KeepaliveEvent) => void): () => void
}

/** One connection, open until it is closed. */
export interface Opened {
  readonly take: KeptPeer.KeptPeer["take"]
  readonly backend: Backend.Backend<Peer.Peer>
  /** Resolves when all that it held is freed. */
  readonly close: () => Promise<void>
}

/** One for all: so a layer that several have in common is built once. */
const memoMap = Layer.makeMemoMapUnsafe()

/** Makes a connection in that scope. */
type Make = (
  deliver: Deliver,
  observe: KeepaliveEvent.Observer,
  scope: Scope.Scope
) => Effect.Effect<KeptPeer.KeptPeer, unknown>

/** What an adapter adds to a keeper of its own. */
export interface Adapter {
  /** what is wrong in further settings of the adapter's */
  readonly issues?: ReadonlyArray<BackendError.ConfigurationIssue>
  /** where several keepers after each other have the same */
  readonly listeners?: Set<KeepaliveEvent.Observer>
}

/** Throws a `ConfigurationError` where a setting is wrong. */
export const make = <R>(options: Settings<R>, { issues: own = [], listeners }: Adapter = {}): Keeper => {
  // What needs services can only be asked of the connector when there are any: `open` asks again.
  const issues = options.services === undefined ? [...issuesOf(options), ...own] : own
  if (issues.length > 0) throw new BackendError.ConfigurationError({ backend: options.id, issues })
  // Built once for all connections at a time, and ended with the last of them: one that fails is built anew for the next.
  const open: Make = (deliver, observe, scope) =>
    Effect.flatMap(servicesOf(options, scope), (services) =>
      KeptPeer.make(options, deliver).pipe(
        Effect.provide(KeepaliveEvent.layerObserver(observe)),
        Scope.provide(scope),
        Effect.provide(services)
      )
    )
  return new Keeper(options.id, open, listeners)
}

/** See the module. */
export class Keeper implements Observed {
  readonly id: string
  /** the newest connection */
  newest: Opened | undefined
  readonly #listeners: Set<KeepaliveEvent.Observer>
  readonly #scope = Scope.makeUnsafe()
  readonly #make: Make
  #state: ConnectionState.ConnectionState = { _tag: "Idle", since: now() }
  #closing: Promise<void> | undefined

  constructor(id: string, make: Make, listeners = new Set<KeepaliveEvent.Observer>()) {
    this.id = id
    this.#make = make
    this.#listeners = listeners
  }

  get state(): ConnectionState.ConnectionState {
    return this.#state
  }

  readonly on: On = (name: "change" | "event", listener: (it: never) => void) => {
    const tell = listener as (it: ConnectionState.ConnectionState | KeepaliveEvent.KeepaliveEvent) => void
    const observer: KeepaliveEvent.Observer = (event) => {
      if (name === "event") tell(event)
      else if (event._tag === "StateChanged") tell(event.to)
    }
    this.#listeners.add(observer)
    return () => void this.#listeners.delete(observer)
  }

  /** Opens a connection. Rejects where a layer cannot be built, or a setting is wrong. */
  readonly open = async (deliver: Deliver): Promise<Opened> => {
    if (this.#closing !== undefined) throw new Error("This connection was closed by its host")
    const scope = await run(Scope.fork(this.#scope))
    const made = this.#make(deliver, (event) => this.#observe(event), scope)
    const { backend, take } = await run(Effect.onError(made, () => Scope.close(scope, Exit.void)))
    this.newest = { backend, take, close: () => run(Scope.close(scope, Exit.void)) }
    return this.newest
  }

  /** Ends all connections, and resolves when everything is freed. */
  readonly close = (): Promise<void> => {
    this.#closing ??= run(Scope.close(this.#scope, Exit.void)).then(() => {
      if (this.#state._tag !== "Closed") this.#state = { _tag: "Closed", since: now() }
    })
    return this.#closing
  }

  #observe(event: KeepaliveEvent.KeepaliveEvent): void {
    if (event._tag === "StateChanged") this.#state = event.to
    else if (event._tag === "Started") this.#state = event.state
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

/** The options of what makes keepers see to it that a connector which needs something comes with it. */
const servicesOf = <R>(
  { services, telemetry = Layer.empty }: Settings<R>,
  scope: Scope.Scope
): Effect.Effect<Context.Context<R>, unknown> =>
  Layer.buildWithMemoMap(Layer.merge((services ?? Layer.empty) as Layer.Layer<R, unknown>, telemetry), memoMap, scope)

const now = (): number => Effect.runSync(Clock.currentTimeMillis)

/** What is wrong, as far as it can be known at once. */
const issuesOf = <R>(options: KeptPeer.Options<R>): ReadonlyArray<BackendError.ConfigurationIssue> => {
  const exit = Effect.runSyncExit(Effect.provide(KeptPeer.check(options), Context.empty() as Context.Context<R>))
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof BackendError.ConfigurationError ? error.issues : []
}

/** Rejects with the error itself. */
const run = async <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
  const exit = await Effect.runPromiseExit(effect)
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}
