/**
 * Connects to MCP servers over Streamable HTTP without an SDK: the client is a `Peer`, which speaks JSON-RPC messages as they are.
 */
import type { Connector } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import type * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { Fetch } from "./internal/http/fetch.ts"
import * as FetchFromHttpClient from "./internal/http/fetchFromHttpClient.ts"
import * as Settings from "./internal/settings.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options<E = never, R = never> extends Settings.Options<E, R> {
  /** Makes the peer of a session; a fresh one each time. Default: what `Peer.Factory` makes, without it one without capabilities. */
  readonly peer?: (() => Peer.Peer) | undefined
  /**
   * Which revisions of the protocol to speak: `legacy` (up to 2025-11-25), `modern` (2026-07-28), or `auto`: `server/discover` is asked
   * first, and `initialize` where the server does not know it. Default: `auto`
   */
  readonly era?: Peer.Era | undefined
}

/**
 * A connector for the server at `url`. Settings that cannot work are in its `issues`; nothing is sent.
 *
 * @since 0.1.0
 */
export const make = <E = never, R = never>(options: Options<E, R>): Connector.Connector<Peer.Peer, R> =>
  Settings.connector(options, { kind: Peer.kind(options.peer, options.era) })

/**
 * A `fetch` that sends through Effect's `HttpClient`: for `fetch` in {@link Options}.
 *
 * @since 0.1.0
 */
export const fetchFromHttpClient: Effect.Effect<Fetch, never, HttpClient.HttpClient> = FetchFromHttpClient.make
