/**
 * Connects to MCP servers that run as child processes, with the client of `@modelcontextprotocol/sdk` 1.x.
 *
 * The child leads a process group of its own, so that what it starts (a wrapper such as `npx` or `sh -c` starts the
 * real server) ends with it. Its death is seen from its exit status, also when a grandchild still holds its stdout. Its
 * stderr is always read. A session is one child: the old one has ended before the next one starts.
 *
 * A descendant that makes a session of its own (`setsid`, Node's `detached: true`) has left the group. On Linux it is
 * killed nevertheless if it still holds the child's stdout or stderr when the group has ended; elsewhere it lives on.
 * One that holds neither has made itself independent, and is left alone. When this
 * process itself is killed, or calls `process.exit`, no shutdown runs: the child sees the end of its stdin, on which the
 * specification has it exit; see `watchdog` for one that does not.
 *
 * On Windows there are no process groups and no SIGTERM: the child's process tree is ended with `taskkill /T /F`, which does
 * not find what outlived its parent. What npm installs as a command is a batch file there, which Node starts through a
 * shell only: `cmd.exe` with `["/d", "/s", "/c", "npx", …]`.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CallView } from "@vmcp-keepalive/sdk-client"
import * as Settings from "./internal/settings.ts"

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
export const make = (options: Options): StdioConnector => Settings.connector(options, CallView.kind(options.client))
