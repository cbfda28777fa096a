/**
 * Backends of a `Fleet` that are child processes, with the client of `@modelcontextprotocol/client` 2.x.
 */
import type { Client, VersionNegotiationOptions } from "@modelcontextprotocol/client"
import type { Fleet } from "@vmcp-keepalive/core"
import type * as Layer from "effect/Layer"
import * as Stdio from "../internal/fleet.ts"
import * as StdioConnector from "./StdioConnector.ts"

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
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either, which bounds what checking a tool's output may cost.
   */
  readonly client?: ((settings: StdioSettings) => Client) | undefined
  /**
   * Which revisions of the protocol to speak with each of them, and how to find out. Default: what the client was made with; for one
   * that was made with nothing `{ mode: "auto" }`.
   */
  readonly versionNegotiation?: ((settings: StdioSettings) => VersionNegotiationOptions | undefined) | undefined
}

/**
 * For `Fleet.make`: specs whose settings are of the kind `stdio` become backends that are child processes.
 *
 * @since 0.1.0
 */
export const layer = ({ client, versionNegotiation, ...options }: Options = {}): Layer.Layer<Fleet.Transport<Client>> =>
  Stdio.layer(options, (each, settings) =>
    StdioConnector.make({
      ...each,
      client: client === undefined ? undefined : () => client(settings),
      versionNegotiation: versionNegotiation?.(settings)
    })
  )
