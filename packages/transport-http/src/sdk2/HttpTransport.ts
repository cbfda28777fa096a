/**
 * Backends of a `Fleet` that are reached over Streamable HTTP, with the client of `@modelcontextprotocol/client` 2.x.
 */
import type { Client, OAuthClientProvider, VersionNegotiationOptions } from "@modelcontextprotocol/client"
import type { Fleet } from "@vmcp-keepalive/core"
import type * as Layer from "effect/Layer"
import * as HttpConnector from "./HttpConnector.ts"
import * as Http from "../internal/fleet.ts"

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
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either, which bounds what checking a tool's output may cost.
   */
  readonly client?: ((settings: HttpSettings) => Client) | undefined
  /**
   * Which revisions of the protocol to speak with each of them, and how to find out. Default: what the client was made with; for one
   * that was made with nothing `{ mode: "auto" }`.
   */
  readonly versionNegotiation?: ((settings: HttpSettings) => VersionNegotiationOptions | undefined) | undefined
  /** OAuth, as the SDK does it, for the backends for which it returns a provider. Default: for none. */
  readonly authProvider?: ((settings: HttpSettings) => OAuthClientProvider | undefined) | undefined
}

/**
 * For `Fleet.make`: specs whose settings are of the kind `http` become backends over HTTP.
 *
 * @since 0.1.0
 */
export const layer = <E = never, R = never>({
  authProvider,
  client,
  versionNegotiation,
  ...options
}: Options<E, R> = {}): Layer.Layer<Fleet.Transport<Client>, never, R> =>
  Http.layer(options, (each, settings) =>
    HttpConnector.make({
      ...each,
      client: client === undefined ? undefined : () => client(settings),
      versionNegotiation: versionNegotiation?.(settings),
      authProvider: authProvider?.(settings)
    })
  )
