/**
 * Many backends of one host: added and removed while they run, or kept as a list of specs says, such as that of a configuration file.
 *
 * Each member is a backend of its own, and ends by itself. A change of the list touches only those whose words changed: another
 * policy is put in place, another address or other credentials lead to a planned replacement of the session, and all others keep
 * their sessions. Members that were added by code are not the list's matter.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Backend from "./Backend.ts"
import type { ConfigurationError } from "./BackendError.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import type { Connector } from "./Connector.ts"
import type { FleetConfigurationError, FleetNotReady } from "./internal/fleetErrors.ts"
import * as Members from "./internal/members.ts"
import * as Plans from "./internal/plan.ts"
import * as Readiness from "./internal/readiness.ts"
import * as Transports from "./internal/transports.ts"
import type { KeepaliveEvent } from "./KeepaliveEvent.ts"
import type { Options as Policy } from "./KeepalivePolicy.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * A backend, described by data: two are the same where `Equal.equals` says so, also where something in them is `Redacted`.
 *
 * @since 0.1.0
 */
export interface Spec {
  readonly id: string
  /** one that is not is as if it were not there; default true */
  readonly enabled?: boolean | undefined
  /** how to reach it; `kind` names the transport that reads the rest */
  readonly settings: { readonly kind: string }
  /** laid over the policy of the context in which the fleet was made */
  readonly policy?: Policy | undefined
}

/**
 * What became of one backend when the fleet changed.
 *
 * @since 0.1.0
 */
export type Change =
  | { readonly _tag: "Added"; readonly id: string }
  | { readonly _tag: "Removed"; readonly id: string }
  | {
      readonly _tag: "Replaced"
      readonly id: string
      /** what of it changed: how it is reached, its policy, or both */
      readonly what: ReadonlyArray<"connection" | "policy">
    }

/**
 * The backends of one host, wherever they are kept: what is asked of a {@link Fleet}, and of a cluster, by whoever does not decide what
 * belongs to it, such as a gateway.
 *
 * @since 0.1.0
 */
export interface Backends<out Client> {
  /** The same object for as long as there is a backend of that id. */
  readonly get: (id: string) => Effect.Effect<Option.Option<Backend.Backend<Client>>>
  /** in the order in which they came */
  readonly ids: Effect.Effect<ReadonlyArray<string>>
  /** by id, in the order of `ids` */
  readonly states: Effect.Effect<ReadonlyMap<string, ConnectionState>>
  /**
   * What happens to any member from now on, members to come included, to the end of the fleet's scope. A reader that falls behind by more
   * than 16,384 events loses the oldest of them.
   */
  readonly events: Stream.Stream<KeepaliveEvent>
  /** What is added, removed and replaced from now on, to the end of the fleet's scope. A reader that falls behind by more than 16,384 changes loses the oldest. */
  readonly changes: Stream.Stream<Change>
  /**
   * Waits until every member is connected whose policy says `required`, each until its `startDeadline` has passed since it was made. Fails with all
   * that are not. Those that are not required hold nothing back, nor do those that are added meanwhile.
   */
  readonly ready: Effect.Effect<void, FleetNotReady>
  /**
   * Makes the fleet what the specs say, and tells what that changed. All or nothing: where anything is wrong, everything that is wrong is told, and
   * the fleet stays as it is. Ends when removed backends are closed and new ones made; nothing of it waits for a server.
   */
  readonly apply: (specs: ReadonlyArray<Spec>) => Effect.Effect<ReadonlyArray<Change>, FleetConfigurationError>
}

/**
 * The backends of one host, all kept by this process: members can also be added by code.
 *
 * @since 0.1.0
 */
export interface Fleet<Client> extends Backends<Client> {
  /** Makes a backend that lives until it is removed, or the fleet's scope ends. Fails where its id is taken, or as `Backend.make` does. */
  add<R = never, SetupR = never>(
    options: Backend.Options<Client, R, SetupR>
  ): Effect.Effect<Backend.Backend<Client>, ConfigurationError, R | SetupR>
  /** Ends a backend, whoever added it, and waits until its session is closed; false where there is none of that id. */
  readonly remove: (id: string) => Effect.Effect<boolean>
}

/**
 * What one list of specs changes in another: what `apply` would do, for whoever makes the backends elsewhere.
 *
 * @since 0.1.0
 */
export interface Plan<out Client> {
  /** ids of those that are listed no longer */
  readonly removed: ReadonlyArray<string>
  /** those that are made or changed, in the order of the specs */
  readonly made: ReadonlyArray<Planned<Client>>
}

/**
 * A backend of a {@link Plan}: what `Backend.make` and `reconfigure` take.
 *
 * @since 0.1.0
 */
export interface Planned<out Client> {
  readonly id: string
  readonly connector: Connector<Client>
  readonly policy: Policy
  /** what of it changed; `undefined` where it is new */
  readonly what: ReadonlyArray<"connection" | "policy"> | undefined
}

/**
 * A backend that may be required: what {@link awaitReady} waits for.
 *
 * @since 0.1.0
 */
export interface Awaited {
  readonly backend: Pick<Backend.Backend<unknown>, "id" | "policy" | "awaitConnected" | "state">
  /** from when its `startDeadline` counts, in milliseconds of the monotonic clock (`Clock.monotonicTimeNanos`) */
  readonly madeAt: number
}

// ------------------------------------------------------------------------------------------------------------- errors

/** @since 0.1.0 */
export { FleetConfigurationError, FleetNotReady } from "./internal/fleetErrors.ts"

// --------------------------------------------------------------------------------------------------------- transports

/**
 * That connectors of such clients can be made from settings: what {@link make} needs for `apply`, and {@link layerTransport} provides, for each
 * kind of settings beside the others.
 *
 * @since 0.1.0
 */
export interface Transport<out Client> {
  readonly "~@vmcp-keepalive/core/Transport": Client
}

/**
 * How settings of one kind become a connector.
 *
 * @since 0.1.0
 */
export interface TransportOptions<Settings extends Spec["settings"], Client, R = never> {
  /** whether settings of this kind are of its shape */
  readonly is: (settings: Spec["settings"]) => settings is Settings
  readonly make: (settings: Settings) => Connector<Client, R>
}

/**
 * A transport for the specs whose settings are of that kind. What its connectors need is taken from where the layer is built.
 *
 * @since 0.1.0
 */
export const layerTransport = <Settings extends Spec["settings"], Client, R = never>(
  kind: Settings["kind"],
  { is, make }: TransportOptions<Settings, Client, R>
): Layer.Layer<Transport<Client>, never, R> =>
  Layer.effect(
    Context.Service<Transport<Client>, Transports.Transport<Client>>(Transports.keyOf(kind)),
    Effect.map(Effect.context<R>(), (context) => {
      const provided = Transports.providing(context)
      return (settings) => (is(settings) ? provided(make(settings)) : undefined)
    })
  )

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * Makes a fleet without members, whose members end with the scope. They have the policy, the observers and the limits of the context in
 * which it is made, wherever they are added.
 *
 * @since 0.1.0
 */
export const make = <Client>(): Effect.Effect<Fleet<Client>, never, Scope.Scope | Transport<Client>> => Members.make()

/**
 * Finds out what the specs change where `before` was listed, and starts nothing. Fails with everything that is wrong in them, as `apply` does.
 *
 * @since 0.1.0
 */
export const plan = <Client>(
  specs: ReadonlyArray<Spec>,
  before: ReadonlyArray<Spec> = []
): Effect.Effect<Plan<Client>, FleetConfigurationError, Transport<Client>> =>
  Effect.contextWith((context: Context.Context<Transport<Client>>) => {
    const listed = before.filter(({ enabled }) => enabled !== false)
    const members = new Map(
      listed.map(({ id, policy = {}, settings }) => [id, { spec: { settings, policy } }] as const)
    )
    const planned = Plans.make<Client>(specs, members, Transports.of(context))
    return Effect.as(Plans.checked(planned), {
      removed: planned.removed,
      made: planned.steps.map(({ connector, id, spec, what }) => ({ id, connector, policy: spec.policy, what }))
    })
  })

/**
 * Waits for those that are required, as `Backends.ready` does: for whoever keeps backends elsewhere.
 *
 * @since 0.1.0
 */
export const awaitReady: (members: Iterable<Awaited>) => Effect.Effect<void, FleetNotReady> = Readiness.awaitReady
