/**
 * The backends of a fleet as one MCP server: what each lists is listed under names of its own, what is asked goes to whose it is, and
 * everything of MCP passes in both directions. A host, which is a client of any kind, connects once; its connection does not end
 * because a backend does.
 *
 * It knows no HTTP: an endpoint, or a program that speaks over stdio, opens a connection for each host.
 */
import { BackendError, type ConnectionState, type Fleet, type KeepaliveEvent, Operable } from "@vmcp-keepalive/core"
import type { KeptPeer } from "@vmcp-keepalive/host"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Conflict } from "./internal/catalogue/resources.ts"
import { Hosts } from "./internal/host/hosts.ts"
import * as Following from "./internal/lanes/following.ts"
import { Backends } from "./internal/lanes/backends.ts"
import { Calls } from "./internal/lanes/calls.ts"
import * as Files from "./internal/lists/files.ts"
import { isCarriedOut } from "./internal/orders.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * How one backend is shown to hosts.
 *
 * @since 0.1.0
 */
export interface View {
  /** which of its tools, by the names that the server gives them; default: all */
  readonly tools?:
    | {
        readonly include?: ReadonlyArray<string> | undefined
        readonly exclude?: ReadonlyArray<string> | undefined
      }
    | undefined
  /**
   * - `per-client`: a session for each host, which is initialized with the host's own words, so that the server may ask it (sampling,
   *   elicitation, roots)
   * - `shared`: one session for all hosts, which declares no capabilities of a client
   *
   * Default: `per-client` over HTTP, `shared` over stdio.
   */
  readonly session?: "per-client" | "shared" | undefined
}

/**
 * What a gateway is made of.
 *
 * @since 0.1.0
 */
export interface Options {
  /** its backends */
  readonly fleet: Fleet.Backends<Peer.Peer>
  /** How long `initialize` waits for backends that are not there yet; those that come later are told by list-changed. Default: 3 seconds */
  readonly initializeWait?: Duration.Input | undefined
  /** How long a list waits for a backend before what is known of it is told instead. Default: 2 seconds */
  readonly listWait?: Duration.Input | undefined
  /** A folder in which the last lists are kept, so that a backend that is down at start has its tools. Default: none is kept */
  readonly lists?: string | undefined
}

/**
 * A connection of one host's.
 *
 * @since 0.1.0
 */
export interface Connection {
  /** A message of the host's, as it is. It never throws. */
  readonly take: KeptPeer.KeptPeer["take"]
}

/**
 * What may be said of the connection of one host.
 *
 * @since 0.1.0
 */
export interface ConnectionOptions {
  /** whether its `initialize` waits for backends that are not there yet, for as long as the gateway's `initializeWait`; default true */
  readonly waits?: boolean | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface Shape {
  /** A host has come, which gets its messages through `deliver`. Its connection ends with the scope. */
  readonly open: (
    deliver: KeptPeer.Deliver,
    options?: ConnectionOptions
  ) => Effect.Effect<Connection, never, Scope.Scope>
  /** How backends are shown from now on, in the order in which they are listed; those that it does not have come behind, as they are. */
  readonly show: (views: ReadonlyMap<string, View>) => Effect.Effect<void>
  /**
   * Gives an operator's command to a backend, and to the sessions that hosts have of their own with it. Returns the state of the fleet's
   * backend that follows, none where there is no such backend. Fails where that one's state does not allow the command, as its own
   * method of that name does.
   */
  readonly operate: (
    id: string,
    command: Command
  ) => Effect.Effect<
    Option.Option<ConnectionState.ConnectionState>,
    BackendError.SessionUnavailable | BackendError.CallRejected
  >
  /**
   * What becomes from now on of the calls that hosts make in sessions of their own, under the id of the backend. The `events` of the fleet
   * tell of the session that it keeps itself, and so of the calls in one that hosts share. It does not end by itself; a reader that falls
   * behind by more than 16,384 events loses the oldest of them.
   */
  readonly calls: Stream.Stream<KeepaliveEvent.KeepaliveEvent>
  /** which resources are hidden, since a backend before theirs has the same URI; the first 1,000 */
  readonly conflicts: Effect.Effect<ReadonlyArray<Conflict>>
}

/** @since 0.1.0 */
export type { Conflict } from "./internal/catalogue/resources.ts"

/**
 * What an operator can do with a backend: see the methods of `Backend` that have these names.
 *
 * @since 0.1.0
 */
export type Command = Operable.Command

/**
 * A gateway.
 *
 * @since 0.1.0
 */
export class Gateway extends Context.Service<Gateway, Shape>()("vmcp-keepalive/Gateway") {}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * Makes a gateway, which ends with the scope: what hosts have asked is cancelled and not answered.
 *
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Shape, BackendError.ConfigurationError, Scope.Scope | FileSystem.FileSystem | Path.Path> {
  const { fleet, lists: folder } = options
  const waits = yield* waitsOf(options)
  const backends: Backends = new Backends((id) => files.changed(id))
  const known = (id: string) => backends.known.get(id)
  const files =
    folder === undefined ? Files.none : yield* Files.make({ folder, known, ids: () => backends.members.keys() })
  const background = yield* Effect.scope
  const calls = new Calls()
  const hosts = new Hosts({ fleet, backends, calls, files, scope: background, ...waits })
  yield* Following.start({ fleet, backends, hosts })
  return {
    open: (deliver, options) => hosts.open(deliver, options),
    show: (views) => hosts.show(views),
    operate: (id, command) =>
      Effect.flatMap(
        fleet.get(id),
        Option.match({
          onNone: () => Effect.succeed(Option.none()),
          onSome: (backend) =>
            Effect.gen(function* () {
              const given = hosts.operate(id, (own) => Operable.operate(own, command))
              const takesNoTime = command === "isolate" || command === "reset"
              // what is waited for is one session, not those of all hosts
              if (!takesNoTime) yield* Effect.forkIn(given, background)
              const state = yield* Operable.operate(backend, command)
              // done when this returns; hosts' own sessions are not isolated alone, as where the database of a cluster does not answer
              if (takesNoTime && isCarriedOut(command, state)) yield* given
              return Option.some(state)
            })
        })
      ),
    calls: calls.stream,
    conflicts: Effect.sync(() => backends.resources.conflicts)
  }
})

/**
 * A gateway as a service.
 *
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<Gateway, BackendError.ConfigurationError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Gateway, make(options))

// ----------------------------------------------------------------------------------------------------------- internal

const waitsOf = ({ initializeWait = "3 seconds", listWait = "2 seconds" }: Options) => {
  const read = { initializeWait: Duration.fromInput(initializeWait), listWait: Duration.fromInput(listWait) }
  const isFine = (duration: Option.Option<Duration.Duration>) =>
    Option.isSome(duration) && Duration.isFinite(duration.value) && !Duration.isNegative(duration.value)
  const issues = Object.entries(read).flatMap(([name, duration]) =>
    isFine(duration) ? [] : [{ path: [name], expected: "a finite duration that is not negative" }]
  )
  return issues.length > 0
    ? Effect.fail(new BackendError.ConfigurationError({ backend: "", issues }))
    : Effect.succeed({
        initializeWait: Option.getOrThrow(read.initializeWait),
        listWait: Option.getOrThrow(read.listWait)
      })
}
