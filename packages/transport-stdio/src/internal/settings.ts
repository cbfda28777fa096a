/**
 * The settings of a connector: with their defaults, and what is wrong with them. No issue repeats a value: it may be a secret.
 */
import { getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js"
import type { BackendError } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Options, Text } from "../StdioConnector.ts"
import type { Command, Shutdown } from "./childProcess.ts"
import type { Bounds } from "./stderr.ts"
import * as Watchdog from "./watchdog.ts"

/** What is known of them once they are right. */
export interface Settings {
  readonly command: Command
  readonly shutdown: Shutdown
  readonly stderr: Bounds
  readonly maxLineBytes: number
  readonly watchdog: boolean
}

const defaultShutdown: Shutdown = { end: Duration.seconds(2), term: Duration.seconds(2), kill: Duration.seconds(1) }
const defaultStderr: Bounds = { lines: 50, bytes: 16 * 1024 }
const defaultMaxLineBytes = 16 * 1024 * 1024
const smallestMaxLineBytes = 64 * 1024
/** A string of V8 has at most some 512 million characters. */
const greatestMaxLineBytes = 256 * 1024 * 1024

/** With the defaults, and the environment as it is now. Only what has no issues works. */
export const resolve = (options: Options): Settings => ({
  command: {
    command: options.command,
    args: options.args ?? [],
    // the environment variables that the SDK takes for safe
    env: { ...getDefaultEnvironment(), ...options.env },
    cwd: options.cwd
  },
  shutdown: {
    end: durationOr(options.shutdown?.end, defaultShutdown.end),
    term: durationOr(options.shutdown?.term, defaultShutdown.term),
    kill: durationOr(options.shutdown?.kill, defaultShutdown.kill)
  },
  stderr: { ...defaultStderr, ...options.stderr },
  maxLineBytes: options.maxLineBytes ?? defaultMaxLineBytes,
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
export const issues = (
  options: Options
): Effect.Effect<ReadonlyArray<BackendError.ConfigurationIssue>, never, FileSystem.FileSystem> => {
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

const hasNul = (text: Text) => (Redacted.isRedacted(text) ? Redacted.value(text) : text).includes("\0")

const ofText = ({ args = [], command, cwd, env = {} }: Options): ReadonlyArray<Issue> => [
  ...(command === "" || hasNul(command)
    ? [issue("a command that is not empty, without a NUL character", "command")]
    : []),
  ...args.flatMap((arg, index) => (hasNul(arg) ? [issue("no NUL character", "args", String(index))] : [])),
  ...Object.entries(env).flatMap(([name, value]) =>
    name === "" || /[=\0]/.test(name) || hasNul(value)
      ? // whoever took a whole assignment for the name wrote the value behind the `=`
        [issue("a name without `=`, and no NUL character in name and value", "env", name.split(/[=\0]/, 1)[0] ?? "")]
      : []
  ),
  ...(cwd === "" || (cwd !== undefined && hasNul(cwd)) ? [issue("a directory, or to be left out", "cwd")] : [])
]

const ofNumbers = ({ maxLineBytes, shutdown = {}, stderr = {} }: Options): ReadonlyArray<Issue> => [
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
  ...(maxLineBytes !== undefined &&
  !(Number.isSafeInteger(maxLineBytes) && maxLineBytes >= smallestMaxLineBytes && maxLineBytes <= greatestMaxLineBytes)
    ? [issue(`a whole number of bytes, ${smallestMaxLineBytes} to ${greatestMaxLineBytes}`, "maxLineBytes")]
    : [])
]

/** As the system will look for them: the command in `PATH` unless it has a slash, and then seen from `cwd`. */
const ofFiles = Effect.fnUntraced(function* ({ command, cwd, env }: Command) {
  if (cwd !== undefined) {
    const directory = yield* look(cwd)
    if (Option.isNone(directory)) return [issue("a directory that exists", "cwd")]
    if (directory.value.type !== "Directory") return [issue("a directory", "cwd")]
  }
  // There the system also tries endings such as `.exe`.
  if (process.platform === "win32") return []
  const path = Redacted.isRedacted(env["PATH"]) ? Redacted.value(env["PATH"]) : env["PATH"]
  const places = command.includes("/") ? [command] : path?.split(":").map((place) => `${place || "."}/${command}`)
  if (places === undefined) return []
  const files = (yield* Effect.forEach(places, (place) => look(fromCwd(place, cwd)))).filter(Option.isSome)
  if (files.some(isExecutable)) return []
  return [
    issue(
      files.length === 0 ? `a command that exists${command.includes("/") ? "" : ", in PATH"}` : "an executable file",
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

const look = (path: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.option(fs.stat(path)))

const isExecutable = (file: Option.Option<FileSystem.File.Info>) =>
  Option.isSome(file) && file.value.type === "File" && (file.value.mode & anyExecute) !== 0

const anyExecute = 0o111

const fromCwd = (path: string, cwd: string | undefined) =>
  path.startsWith("/") || cwd === undefined ? path : `${cwd}/${path}`
