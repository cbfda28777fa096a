/**
 * Backends of a `Fleet` that are reached over Streamable HTTP, without an SDK: their client is a `Peer`.
 */
import type { Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import type * as Layer from "effect/Layer"
import * as HttpPeerConnector from "./HttpPeerConnector.ts"
import * as Http from "./internal/fleet.ts"

/**
 * How one backend is reached, as data: what `@vmcp-keepalive/config` reads from files.
 *
 * @since 0.1.0
 */
export type HttpSettings = Http.HttpSettings

/**
 * What holds for every backend that is reached over HTTP, and data cannot say.
 *
 * @since 0.1.0
 */
export interface Options<E = never, R = never> extends Http.Options<E, R> {
  /** Makes the peer of a session; a fresh one each time. Default: what `Peer.Factory` makes, without it one without capabilities. */
  readonly peer?: ((settings: HttpSettings) => Peer.Peer) | undefined
}

/**
 * For `Fleet.make`: specs whose settings are of the kind `http` become backends over HTTP.
 *
 * @since 0.1.0
 */
export const layer = <E = never, R = never>({ peer, ...options }: Options<E, R> = {}): Layer.Layer<
  Fleet.Transport<Peer.Peer>,
  never,
  R
> =>
  Http.layer(options, (each, settings) =>
    HttpPeerConnector.make({ ...each, peer: peer === undefined ? undefined : () => peer(settings) })
  )
