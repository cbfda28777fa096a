/**
 * Connects to MCP servers that run as child processes, with the client of `@modelcontextprotocol/sdk` 1.x.
 *
 * The child leads a process group of its own, so that what it starts (a wrapper such as `npx` or `sh -c` starts the
 * real server) ends with it. Its death is seen from its exit status, also when a grandchild still holds its stdout. Its
 * stderr is always read. A session is one child: the old one has ended before the next one starts.
 *
 * A descendant that makes a session of its own (`setsid`, Node's `detached: true`) has left the group. On Linux it is
 * killed nevertheless if it still holds the child's stdout or stderr when the group has ended; elsewhere it lives on, and
 * with it a descriptor of this process. One that holds neither has made itself independent, and is left alone. When this
 * process itself is killed, or calls `process.exit`, no shutdown runs: the child sees the end of its stdin, on which the
 * specification has it exit; see `watchdog` for one that does not.
 *
 * On Windows there are no process groups and no SIGTERM: the child's process tree is ended with `taskkill /T /F`, which does
 * not find what outlived its parent. What npm installs as a command is a batch file there, which Node starts through a
 * shell only: `cmd.exe` with `["/d", "/s", "/c", "npx", …]`.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector } from "@vmcp-keepalive/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import * as Session from "./internal/session.ts"
import * as Settings from "./internal/settings.ts"
import * as Stderr from "./internal/stderr.ts"

/**
 * A value that is handed to the child. A redacted one is taken out of what the child writes to stderr, too, where it
 * stands as it is: not where it is encoded (base64, escaped in JSON). Arguments are visible to other users of the machine
 * (`ps`): give secrets through `env`.
 */
export type Text = string | Redacted.Redacted<string>

/** What {@link make} takes. */
export interface Options {
  /**
   * The executable: looked for in `PATH` unless it has a slash, and then seen from `cwd`. No shell reads it. One that does not
   * exist or may not be executed is a `ConfigurationError` of `Backend.make`.
   */
  readonly command: string
  /** Its arguments, each as it is. Default: none. */
  readonly args?: ReadonlyArray<Text>
  /**
   * Environment variables of the child, beside those that the SDK takes for safe (on POSIX: HOME, LOGNAME, PATH, SHELL,
   * TERM, USER). Nothing else of this process's environment reaches it. Default: none.
   */
  readonly env?: Readonly<Record<string, Text>>
  /** The directory in which it starts; it must exist. Default: that of this process. */
  readonly cwd?: string
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either.
   */
  readonly client?: () => Client
  /**
   * How the child is ended: its stdin is closed; `end` later (default 2 s) its group gets SIGTERM; `term` later (default 2 s)
   * SIGKILL, after which it is waited for `kill` longer (default 1 s; more than that for the child alone, not for its
   * group). Each wait ends as soon as the child has. What is left of its group then gets SIGTERM at once. The order is
   * that of the specification (lifecycle, shutdown, stdio), the bounds are those of the SDK.
   */
  readonly shutdown?: {
    readonly end?: Duration.Input
    readonly term?: Duration.Input
    readonly kill?: Duration.Input
  }
  /**
   * How much of the last that the child wrote to stderr is kept for errors: at most so many lines (default 50) and bytes
   * (default 16 KiB). A line of more than 4 KiB is cut to its first 1 KiB.
   */
  readonly stderr?: { readonly lines?: number; readonly bytes?: number }
  /**
   * The longest line of stdout, in bytes, 64 KiB to 256 MiB. Default: 16 MiB (the SDK closes the session at 10 MB). A call
   * whose answer is longer fails (`CallFailed`) and is not run again; its cause says why. The session goes on.
   */
  readonly maxLineBytes?: number
  /**
   * Whether a small shell watches over each child, so that the child's group gets SIGTERM and SIGKILL, after the same waits
   * (in whole seconds, rounded up), when this process dies without a shutdown (SIGKILL, out of memory, `process.exit`).
   * Needed only for servers that ignore the end of their stdin. One process of about 1 MB more for each session. Without
   * `/bin/sh`, and on Windows, it is a `ConfigurationError` of `Backend.make`. Default: false.
   */
  readonly watchdog?: boolean
}

/** A connector that also lets its servers' stderr be read. */
export interface StdioConnector extends Connector.Connector<Client, ChildProcessSpawner | FileSystem> {
  /**
   * The lines that the servers write to stderr while this is run, with redacted values taken out. A line of more than 4 KiB
   * is cut to its first 1 KiB, with `…` behind it. It costs nothing while nobody reads. A reader that falls behind by more
   * than 1 MiB loses the oldest lines: the servers never wait.
   */
  readonly stderr: Stream.Stream<string>
}

/**
 * A connector for the server that `command` starts. The process spawner and the file system come from the platform
 * (`NodeServices.layer` of `@effect/platform-node`).
 */
export const make = (options: Options): StdioConnector => {
  const readers = new Stderr.Readers()
  return {
    kind: "stdio",
    exclusive: true,
    // a cold `npx` downloads the server first
    connectTimeout: "120 seconds",
    supportsOptions: false,
    issues: Settings.issues(options),
    open: (host) =>
      Effect.suspend(() =>
        Session.open({ settings: Settings.resolve(options), client: options.client ?? defaultClient, readers }, host)
      ),
    stderr: readers.stream
  }
}

const defaultClient = () => new Client({ name: "vmcp-keepalive", version: "0.1.0" })
