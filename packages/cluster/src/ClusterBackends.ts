/**
 * The backends of a cluster: every process lists the same ones, each is kept by exactly one of them, and each process sees and operates
 * all of them.
 */
import type {
  Backend,
  BackendError,
  ConnectionState,
  Connector,
  KeepaliveEvent,
  KeepalivePolicy,
  Lists
} from "@vmcp-keepalive/core"
import { Fleet, Operable } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SocketServer } from "effect/socket"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type * as ClusterError from "./ClusterError.ts"
import * as ClusterOptions from "./ClusterOptions.ts"
import * as Address from "./internal/address.ts"
import * as Engine from "./internal/engine/engine.ts"
import * as Isolation from "./internal/isolation/Isolation.ts"
import * as Ledger from "./internal/ledger/Ledger.ts"
import * as Members from "./internal/members/Members.ts"
import { withSharedOrigin } from "./internal/members/sharedOrigin.ts"
import * as Activator from "./internal/owner/activator.ts"
import * as Listing from "./internal/owner/listing.ts"
import * as Owner from "./internal/owner/owner.ts"
import * as Single from "./internal/single.ts"
import * as Processes from "./internal/view/processes.ts"
import * as View from "./internal/view/view.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * A backend of the cluster, wherever it is kept. What is asked of it fails with `SessionUnavailable` where for `waitForOwner` no process
 * keeps it that can be reached; then nothing was executed.
 *
 * Its `changes` and `events` go on from one owner to the next: while no process keeps it they tell of a state `Disconnected` with reason
 * `unknown`, and the session that an owner had already opened when it was first heard is told as if it were opened then.
 *
 * @since 0.1.0
 */
export interface ClusterBackend
  extends
    Omit<Operable.Operable<BackendError.SessionUnavailable>, "isolate" | "reset">,
    Pick<Backend.Backend<Peer.Peer>, "use" | "pinned" | "listen"> {
  /** the address of the process that keeps it; `undefined` while none does that can be reached */
  readonly owner: Effect.Effect<string | undefined>
  /**
   * As of `Backend`, for the cluster: it is in the storage before this succeeds, so that each process that keeps the backend leaves it isolated, until `reset`, or
   * until it is listed no longer.
   */
  readonly isolate: Effect.Effect<void, BackendError.SessionUnavailable | ClusterError.StorageUnavailable>
  /** as of `Backend`: it fails with `StorageUnavailable` only where the backend is isolated */
  readonly reset: Effect.Effect<void, BackendError.SessionUnavailable | ClusterError.StorageUnavailable>
  readonly changes: Backend.Backend<Peer.Peer>["changes"]
  readonly events: Backend.Backend<Peer.Peer>["events"]
  /** as of `Backend` */
  readonly lists: Effect.Effect<Lists.Lists, BackendError.SessionUnavailable>
}

/**
 * How a backend stands in the cluster.
 *
 * @since 0.1.0
 */
export interface Standing {
  /** as of {@link ClusterBackend} */
  readonly owner: string | undefined
  /** `undefined` while no process keeps it that can be reached */
  readonly state: ConnectionState.ConnectionState | undefined
}

/**
 * A process that takes part.
 *
 * @since 0.1.0
 */
export interface Process {
  /** its name: where the others reach it */
  readonly address: string
  /** whether it is this one */
  readonly isHere: boolean
  /** whether it answered when the others asked it last */
  readonly isHealthy: boolean
  /** the ids of the backends that it has a lease on */
  readonly backends: ReadonlyArray<string>
  /** for how long it has all of them yet without another word of its own to the storage; `undefined` where it has none */
  readonly left: Duration.Duration | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface Shape {
  readonly get: (id: string) => Effect.Effect<Option.Option<ClusterBackend>>
  /** in the order in which they are listed */
  readonly ids: Effect.Effect<ReadonlyArray<string>>
  /** by id, in the order of `ids`; those that do not answer for a second have no owner in it */
  readonly states: Effect.Effect<ReadonlyMap<string, Standing>>
  /**
   * The processes of the cluster and what each keeps, by their addresses, as the storage has it: one query, whatever the number of backends. Fails while
   * the storage does not answer.
   */
  readonly processes: Effect.Effect<ReadonlyArray<Process>, SqlError>
  /**
   * For how long this process is certain at least that no other one keeps what it keeps: as much as an outage of the storage may last now. A refresh makes it
   * nine tenths of the lease. `undefined` while it keeps nothing, and in a cluster of one process.
   */
  readonly leaseMargin: Effect.Effect<Duration.Duration | undefined>
  /**
   * What happens to any backend of the cluster from now on, those that are listed later included. While a backend goes from one process to
   * another, and where a reader falls behind, events are lost.
   */
  readonly events: Stream.Stream<KeepaliveEvent.KeepaliveEvent>
  /** Gives an operator's order, and returns the state that follows; none where no such backend is listed. */
  readonly command: (
    id: string,
    command: Operable.Command
  ) => Effect.Effect<
    Option.Option<ConnectionState.ConnectionState>,
    BackendError.SessionUnavailable | BackendError.CallRejected | ClusterError.StorageUnavailable
  >
  /**
   * Lists other backends, as `Fleet.apply` has it: those whose words did not change keep their sessions. Every process is to be told the same;
   * a configuration file that each of them follows does so (`KeepaliveConfig.follow` takes this service).
   */
  readonly apply: Fleet.Backends<Peer.Peer>["apply"]
  /**
   * The same as the backends of one host, for those who need not know of other processes, such as a gateway. What `get` gives is a
   * `Backend` wherever it is kept:
   *
   * - one that no process keeps which can be reached within a second reads as `Disconnected` with reason `unknown`; its `lists` are those
   *   known last
   * - an order that reaches nobody within `waitForOwner` does nothing: `reconnect` and `probe` fail, and the state that follows tells so. The same holds
   *   for `isolate` and `reset` where the storage does not answer
   * - `source` is what this process lists: of it a further backend can be made here, which is this process's own
   * - `reconfigure` is refused: every process lists the same backends
   */
  readonly fleet: Fleet.Backends<Peer.Peer>
}

/**
 * The backends of the cluster as a service.
 *
 * @since 0.1.0
 */
export class ClusterBackends extends Context.Service<ClusterBackends, Shape>()(
  "@vmcp-keepalive/cluster/ClusterBackends"
) {}

// ------------------------------------------------------------------------------------------------------------- layers

/**
 * What {@link layer} takes.
 *
 * @since 0.1.0
 */
export interface Options extends ClusterOptions.Options, SingleOptions {}

/**
 * A cluster of all processes that have the same storage, over `effect/cluster`. Each takes a share of the backends when it comes, and hands it over when it
 * ends. The storage is a SQL database (`PgClient.layer` of `@effect/sql-pg`), in which tables are made whose names begin with `vmcp_keepalive_`. Fails
 * with everything that is wrong in the options or in the specs, and where the storage or the port cannot be had.
 *
 * @since 0.1.0
 */
export const layer = ({
  backends,
  ...options
}: Options): Layer.Layer<
  ClusterBackends,
  BackendError.ConfigurationError | Fleet.FleetConfigurationError | SqlError | SocketServer.SocketServerError,
  Fleet.Transport<Peer.Peer> | SqlClient.SqlClient
> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const settings = yield* ClusterOptions.resolve(options)
      // What callers have ends last: calls are made, and told, for as long as backends are handed over.
      const last = yield* Scope.fork(yield* Effect.scope)
      const members = Members.make(settings)
      const share = () => members.share(settings.originStarts)
      const listing = yield* Listing.make((connector) => withSharedOrigin(connector, share))
      yield* listing.apply(backends, () => Effect.void)
      const known = Layer.mergeAll(
        Layer.succeed(Listing.Listing, listing),
        Layer.succeed(Owner.Places, new Map()),
        Layer.succeed(Owner.Here, Address.format(settings.address)),
        Isolation.layer,
        settings.sessionLedger === undefined ? Ledger.none : Ledger.layer(settings.sessionLedger.key)
      )
      const view = Layer.effect(
        ClusterBackends,
        Effect.zipWith(
          Scope.provide(View.make(settings.waitForOwner), last),
          Processes.make(Engine.prefix, settings.lease),
          (view, processes) => ({ ...view, processes })
        )
      )
      return Layer.mergeAll(view, Owner.layer(settings.drain), Activator.layer).pipe(
        Layer.provide(Engine.layer(settings).pipe(Layer.provide(Layer.succeed(Members.Members, members)))),
        Layer.provide(known)
      )
    })
  )

/**
 * What {@link layerSingle} takes.
 *
 * @since 0.1.0
 */
export interface SingleOptions {
  /** which there are: what a configuration file says, or data of one's own */
  readonly backends: ReadonlyArray<Fleet.Spec>
}

/**
 * A cluster of this process alone, without storage and without a port: for development, and for an app that may run on one machine or on
 * many. It keeps everything itself, and nothing is ever without an owner. Fails with everything that is wrong in the specs.
 *
 * @since 0.1.0
 */
export const layerSingle = (
  options: SingleOptions
): Layer.Layer<ClusterBackends, Fleet.FleetConfigurationError, Fleet.Transport<Peer.Peer>> =>
  Layer.effect(
    ClusterBackends,
    Effect.gen(function* () {
      const fleet = yield* Fleet.make<Peer.Peer>()
      yield* fleet.apply(options.backends)
      return Single.of(fleet)
    })
  )

/**
 * A backend of {@link layerTest}.
 *
 * @since 0.1.0
 */
export interface TestBackend {
  readonly id: string
  /** how to reach it: of a server of the test's own, such as the `peerConnector` of sdk-client's `TestServer` */
  readonly connector: Connector.Connector<Peer.Peer>
  readonly policy?: KeepalivePolicy.Options | undefined
}

/**
 * {@link layerSingle} for tests of apps: with connectors in place of specs. For `apply`, settings are `{ kind: "test", connector }`.
 *
 * @since 0.1.0
 */
export const layerTest = (
  backends: ReadonlyArray<TestBackend>
): Layer.Layer<ClusterBackends, Fleet.FleetConfigurationError> =>
  layerSingle({
    backends: backends.map(({ connector, ...spec }) => ({ ...spec, settings: { kind: "test", connector } }))
  }).pipe(
    Layer.provide(
      Fleet.layerTransport<TestSettings, Peer.Peer>("test", {
        is: (settings): settings is TestSettings => "connector" in settings,
        make: ({ connector }) => connector
      })
    )
  )

interface TestSettings extends Pick<TestBackend, "connector"> {
  readonly kind: "test"
}
