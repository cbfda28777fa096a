/**
 * The settings of a connector: with their defaults, and what is wrong with them. No issue repeats a value: it may be a secret.
 */
import { type Stats, statSync } from "node:fs"
import { availableParallelism } from "node:os"
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import { type ClientKind, Limits } from "@vmcp-keepalive/sdk-client/peer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type { Command, Shutdown } from "./childProcess.ts"
import * as Environment from "./environment.ts"
import * as StdioLimits from "./limits.ts"
import * as Session from "./session.ts"
import * as Stderr from "./stderr.ts"
import * as Watchdog from "./watchdog.ts"

/**
 * A value that is handed to the child. A redacted one is taken out of what the child writes to stderr, too, where it
 * stands as it is: not where it is encoded (base64, escaped in JSON). Arguments are visible to other users of the machine
 * (`ps`): give secrets through `env`.
 */
export type Text = string | Redacted.Redacted<string>

/** What every connector over stdio takes. */
export interface Options {
  /**
   * The executable: looked for in `PATH` unless it has a slash, and then seen from `cwd`. No shell reads it. One that does not
   * exist or may not be executed is a `ConfigurationError` of `Backend.make`.
   */
  readonly command: Text
  /** Its arguments, each as it is. Default: none. */
  readonly args?: ReadonlyArray<Text> | undefined
  /**
   * Environment variables of the child, beside those that the MCP SDKs take for safe (on POSIX: HOME, LOGNAME, PATH, SHELL,
   * TERM, USER). Nothing else of this process's environment reaches it. Default: none.
   */
  readonly env?: Readonly<Record<string, Text>> | undefined
  /** The directory in which it starts; it must exist. Default: that of this process. */
  readonly cwd?: Text | undefined
  /**
   * How the child is ended: its stdin is closed; `end` later (default 2 s) its group gets SIGTERM; `term` later (default 2 s)
   * SIGKILL, after which it is waited for `kill` longer (default 1 s; more than that for the child alone, not for its
   * group). Each wait ends as soon as the child has. What is left of its group then gets SIGTERM at once. The order is
   * that of the specification (lifecycle, shutdown, stdio), the bounds are those of the SDK.
   */
  readonly shutdown?:
    | {
        readonly end?: Duration.Input | undefined
        readonly term?: Duration.Input | undefined
        readonly kill?: Duration.Input | undefined
      }
    | undefined
  /**
   * How much of the last that the child wrote to stderr is kept for errors: at most so many lines (default 50) and bytes
   * (default 16 KiB). A line of more than 4 KiB is cut to its first 1 KiB.
   */
  readonly stderr?: { readonly lines?: number | undefined; readonly bytes?: number | undefined } | undefined
  /**
   * How much the server may make this process hold or do; each limit has a default of its own. An answer of the server's that
   * exceeds `messageBytes`, `containers` or `members` fails its call (`CallFailed`), which is not run again and whose cause says why;
   * the session goes on. What exceeds a limit on requests of the server's, or on what it leaves unread, ends the session.
   */
  readonly limits?: Limits.Options<StdioLimits.StdioLimits> | undefined
  /**
   * Whether a small shell watches over each child, so that the child's group gets SIGTERM and SIGKILL, after the same waits
   * (in whole seconds, rounded up), when this process dies without a shutdown (SIGKILL, out of memory, `process.exit`).
   * Needed only for servers that ignore the end of their stdin. One process of about 1 MB more for each session. Without
   * `/bin/sh`, and on Windows, it is a `ConfigurationError` of `Backend.make`. Default: false.
   */
  readonly watchdog?: boolean | undefined
}

/** A connector that also lets its servers' stderr be read. */
export interface StdioConnector<Client> extends Connector.Connector<Client> {
  /**
   * The lines that the servers write to stderr while this is run, with redacted values taken out. A line of more than 4 KiB
   * is cut to its first 1 KiB, with `…` behind it. It costs nothing while nobody reads. A reader that falls behind by more
   * than 1 MiB loses the oldest lines: the servers never wait.
   */
  readonly stderr: Stream.Stream<string>
}

/** A connector for the server that `command` starts, with clients of that kind. */
export const connector = <Client>(options: Options, kind: ClientKind.ClientKind<Client>): StdioConnector<Client> => {
  const readers = new Stderr.Readers()
  return {
    kind: "stdio",
    exclusive: true,
    // a cold `npx` downloads the server first
    connectTimeout: "120 seconds",
    supportsOptions: false,
    origin: thisMachine,
    issues: Effect.zipWith(issues(options), kind.issues, (own, others) => [...own, ...others]),
    open: (host) => Effect.suspend(() => Session.open({ settings: resolve(options), kind, readers }, host)),
    stderr: readers.stream
  }
}

/** To start many children at once makes none of them quicker. */
const thisMachine: Connector.Origin = { key: "stdio", limit: availableParallelism() }

/** What is known of them once they are right. */
export interface Settings {
  readonly command: Command
  /** what is taken out of the lines that the child writes */
  readonly secrets: ReadonlyArray<Redacted.Redacted<string>>
  readonly shutdown: Shutdown
  readonly stderr: Stderr.Bounds
  readonly limits: StdioLimits.StdioLimits
  readonly watchdog: boolean
}

const defaultShutdown: Shutdown = { end: Duration.seconds(2), term: Duration.seconds(2), kill: Duration.seconds(1) }
const defaultStderr: Stderr.Bounds = { lines: 50, bytes: 16 * 1024 }

/** With the defaults, and the environment as it is now. Only what has no issues works. */
const resolve = (options: Options): Settings => ({
  command: {
    command: textOf(options.command),
    args: options.args ?? [],
    env: { ...Environment.safe(), ...options.env },
    cwd: options.cwd === undefined ? undefined : textOf(options.cwd)
  },
  secrets: [options.command, options.cwd, ...(options.args ?? []), ...Object.values(options.env ?? {})].filter((text) =>
    Redacted.isRedacted(text)
  ),
  shutdown: {
    end: durationOr(options.shutdown?.end, defaultShutdown.end),
    term: durationOr(options.shutdown?.term, defaultShutdown.term),
    kill: durationOr(options.shutdown?.kill, defaultShutdown.kill)
  },
  stderr: {
    lines: options.stderr?.lines ?? defaultStderr.lines,
    bytes: options.stderr?.bytes ?? defaultStderr.bytes
  },
  limits: Limits.resolve(options.limits ?? {}, StdioLimits.defaults),
  watchdog: options.watchdog ?? false
})

const durationOr = (input: Duration.Input | undefined, otherwise: Duration.Duration): Duration.Duration =>
  input === undefined ? otherwise : Option.getOrElse(bound(input), () => otherwise)

const bound = (input: Duration.Input): Option.Option<Duration.Duration> =>
  Option.filter(
    Duration.fromInput(input),
    (duration) => Duration.isFinite(duration) && Duration.isGreaterThanOrEqualTo(duration, Duration.zero)
  )

/** What is wrong with them, and with what they name on this machine. */
const issues = (options: Options): Effect.Effect<ReadonlyArray<BackendError.ConfigurationIssue>> => {
  const found = [...ofText(options), ...ofNumbers(options)]
  // what cannot even be asked for is not looked for
  if (found.length > 0) return Effect.succeed(found)
  const { command, watchdog } = resolve(options)
  return Effect.zipWith(ofFiles(command), watchdog ? ofWatchdog : Effect.succeed([]), (one, other) => [
    ...one,
    ...other
  ])
}

type Issue = BackendError.ConfigurationIssue
const issue = (expected: string, ...path: ReadonlyArray<string>): Issue => ({ path: ["connector", ...path], expected })

const textOf = (text: Text): string => (Redacted.isRedacted(text) ? Redacted.value(text) : text)

const hasNul = (text: Text) => textOf(text).includes("\0")

const ofText = ({ args = [], command, cwd, env = {} }: Options): ReadonlyArray<Issue> => [
  ...(textOf(command) === "" || hasNul(command)
    ? [issue("a command that is not empty, without a NUL character", "command")]
    : []),
  ...args.flatMap((arg, index) => (hasNul(arg) ? [issue("no NUL character", "args", String(index))] : [])),
  ...Object.entries(env).flatMap(([name, value]) =>
    name === "" || /[=\0]/.test(name) || hasNul(value)
      ? // whoever took a whole assignment for the name wrote the value behind the `=`
        [issue("a name without `=`, and no NUL character in name and value", "env", name.split(/[=\0]/, 1)[0] ?? "")]
      : []
  ),
  ...(cwd !== undefined && (textOf(cwd) === "" || hasNul(cwd)) ? [issue("a directory, or to be left out", "cwd")] : [])
]

const ofNumbers = ({ limits = {}, shutdown = {}, stderr = {} }: Options): ReadonlyArray<Issue> => [
  ...(["end", "term", "kill"] as const).flatMap((step) => {
    const input = shutdown[step]
    return input !== undefined && Option.isNone(bound(input))
      ? [issue("a duration of zero or more that ends", "shutdown", step)]
      : []
  }),
  ...(["lines", "bytes"] as const).flatMap((unit) => {
    const count = stderr[unit]
    return count !== undefined && !(Number.isSafeInteger(count) && count >= 0)
      ? [issue("a whole number of zero or more", "stderr", unit)]
      : []
  }),
  ...Limits.issues(limits, StdioLimits.ranges)
]

/** As the system will look for them: the command in `PATH` unless it has a slash, and then seen from `cwd`. */
const ofFiles = Effect.fnUntraced(function* ({ command, cwd, env }: Command) {
  if (cwd !== undefined) {
    const directory = yield* look(cwd)
    if (directory === undefined) return [issue("a directory that exists", "cwd")]
    if (!directory.isDirectory()) return [issue("a directory", "cwd")]
  }
  // There the system also tries endings such as `.exe`.
  if (process.platform === "win32") return []
  const path = Redacted.isRedacted(env["PATH"]) ? Redacted.value(env["PATH"]) : env["PATH"]
  const places = command.includes("/") ? [command] : path?.split(":").map((place) => `${place || "."}/${command}`)
  if (places === undefined) return []
  const found = yield* Effect.forEach(places, (place) => look(fromCwd(place, cwd)))
  if (found.some(isExecutable)) return []
  return [
    issue(
      found.every((file) => file === undefined)
        ? `a command that exists${command.includes("/") ? "" : ", in PATH"}`
        : "an executable file",
      "command"
    )
  ]
})

/** A shell watches. */
const ofWatchdog = Effect.gen(function* () {
  if (process.platform === "win32") return [issue("to be left out on Windows", "watchdog")]
  return isExecutable(yield* look(Watchdog.shell))
    ? []
    : [issue(`a system with a shell at ${Watchdog.shell}`, "watchdog")]
})

/** Without waiting, so that who throws what is wrong at once can: starting a child looks in the same places, and does not wait either. */
const look = (path: string): Effect.Effect<Stats | undefined> =>
  Effect.sync(() => {
    try {
      return statSync(path)
    } catch {
      return undefined
    }
  })

const isExecutable = (file: Stats | undefined) => file !== undefined && file.isFile() && (file.mode & anyExecute) !== 0

const anyExecute = 0o111

const fromCwd = (path: string, cwd: string | undefined) =>
  path.startsWith("/") || cwd === undefined ? path : `${cwd}/${path}`
