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
  /**
   * Which revisions of the protocol to speak: `legacy` (up to 2025-11-25), `modern` (2026-07-28), or `auto`: `server/discover` is asked
   * first, and `initialize` where the server does not know it, or is silent for 10 s: a `connectTimeout` that is shorter does not reach
   * such a server, unless this says `legacy`. Default: `auto`
   */
  readonly era?: Peer.Era | undefined
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
export const make = (options: Options): StdioPeerConnector =>
  Settings.connector(options, Peer.kind(options.peer, options.era))
