/**
 * Backends of a `Fleet` that are child processes, without an SDK: their client is a `Peer`.
 */
import type { Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import type * as Layer from "effect/Layer"
import * as Stdio from "./internal/fleet.ts"
import * as StdioPeerConnector from "./StdioPeerConnector.ts"

/**
 * How one backend is started, as data: what `@vmcp-keepalive/config` reads from files.
 *
 * @since 0.1.0
 */
export type StdioSettings = Stdio.StdioSettings

/**
 * What holds for every backend that is a child process, and data cannot say.
 *
 * @since 0.1.0
 */
export interface Options extends Stdio.Options {
  /** Makes the peer of a session; a fresh one each time. Default: what `Peer.Factory` makes, without it one without capabilities. */
  readonly peer?: ((settings: StdioSettings) => Peer.Peer) | undefined
}

/**
 * For `Fleet.make`: specs whose settings are of the kind `stdio` become backends that are child processes.
 *
 * @since 0.1.0
 */
export const layer = ({ peer, ...options }: Options = {}): Layer.Layer<Fleet.Transport<Peer.Peer>> =>
  Stdio.layer(options, (each, settings) =>
    StdioPeerConnector.make({ ...each, peer: peer === undefined ? undefined : () => peer(settings) })
  )
