/**
 * Connects to MCP servers that run as child processes, with the client of `@modelcontextprotocol/client` 2.x: to those of MCP
 * 2026-07-28 and to those before. What holds for the child is what holds with `StdioConnector` for SDK 1.x.
 */
import type { Client, VersionNegotiationOptions } from "@modelcontextprotocol/client"
import { CallView } from "@vmcp-keepalive/sdk-client/sdk2"
import * as Settings from "../internal/settings.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options extends Settings.Options {
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either, which bounds what checking a tool's output may cost.
   */
  readonly client?: (() => Client) | undefined
  /**
   * Which revisions of the protocol to speak, and how to find out. Default: what the client was made with; for one that was made with
   * nothing `{ mode: "auto" }`: `server/discover` is asked first, and `initialize` where the server does not know it, or is silent for
   * 10 s (`probe.timeoutMs`, where that is shorter). (The SDK itself would speak the revisions before 2026-07-28 only.)
   */
  readonly versionNegotiation?: VersionNegotiationOptions | undefined
}

/**
 * A connector that also lets its servers' stderr be read.
 *
 * @since 0.1.0
 */
export type StdioConnector = Settings.StdioConnector<Client>

/**
 * A connector for the server that `command` starts.
 *
 * @since 0.1.0
 */
export const make = (options: Options): StdioConnector => {
  const { client, versionNegotiation } = options
  return Settings.connector(options, CallView.kind({ client, versionNegotiation }))
}
