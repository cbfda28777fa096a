/**
 * The backends of a fleet as one MCP server: what each lists is listed under names of its own, what is asked goes to whose it is, and
 * everything of MCP passes in both directions. A host, which is a client of any kind, connects once; its connection does not end
 * because a backend does.
 *
 * It knows no HTTP: an endpoint, or a program that speaks over stdio, opens a connection for each host.
 */
import type { Fleet } from "@vmcp-keepalive/core"
import type { KeptPeer } from "@vmcp-keepalive/host"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

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
  readonly fleet: Fleet.Fleet<Peer.Peer>
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
 * See the module.
 *
 * @since 0.1.0
 */
export interface Shape {
  /** A host has come, which gets its messages through `deliver`. Its connection ends with the scope. */
  readonly open: (deliver: KeptPeer.Deliver) => Effect.Effect<Connection, never, Scope.Scope>
  /** How backends are shown from now on, in the order in which they are listed; those that it does not have come behind, as they are. */
  readonly show: (views: ReadonlyMap<string, View>) => Effect.Effect<void>
}

/**
 * A gateway.
 *
 * @since 0.1.0
 */
export class Gateway extends Context.Service<Gateway, Shape>()("vmcp-keepalive/Gateway") {}
