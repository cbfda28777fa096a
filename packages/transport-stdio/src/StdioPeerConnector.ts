/**
 * Connects to MCP servers that run as child processes without an SDK: the client is a `Peer`, which speaks JSON-RPC messages as
 * they are. What holds for the child is what holds with `StdioConnector`.
 */
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Settings from "./internal/settings.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options extends Settings.Options {
  /** Makes the peer of a session; a fresh one each time. Default: what `Peer.Factory` makes, without it one without capabilities. */
  readonly peer?: (() => Peer.Peer) | undefined
}

/**
 * A connector that also lets its servers' stderr be read.
 *
 * @since 0.1.0
 */
export type StdioPeerConnector = Settings.StdioConnector<Peer.Peer>

/**
 * A connector for the server that `command` starts.
 *
 * @since 0.1.0
 */
export const make = (options: Options): StdioPeerConnector => Settings.connector(options, Peer.kind(options.peer))
