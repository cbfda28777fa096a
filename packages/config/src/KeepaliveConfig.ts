/**
 * Configuration files of MCP hosts, as people have them: read once, or watched.
 *
 * JSON with comments, TOML or YAML; servers under `mcpServers`, `servers`, `context_servers` or `mcp_servers`, by name or as a list. A file
 * is taken as a whole or not at all, and everything that is wrong with it is told at once. What a file may contain is in
 * docs/guides/configuration.md; for editors there is `@vmcp-keepalive/config/schema.json`.
 */
import type { Fleet } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { BackendSpec } from "./BackendSpec.ts"
import type { ConfigFileError, Issue } from "./ConfigFileError.ts"
import * as File from "./internal/file.ts"
import * as Following from "./internal/following.ts"
import * as Loading from "./internal/loading.ts"
import * as Watch from "./internal/watch.ts"

/**
 * What a file says.
 *
 * @since 0.1.0
 */
export interface Loaded {
  /** in the order of the file; those that are not enabled included */
  readonly specs: ReadonlyArray<BackendSpec>
  /** what was ignored, in the order of the file */
  readonly warnings: ReadonlyArray<Issue>
}

/**
 * How a text is read.
 *
 * @since 0.1.0
 */
export interface ParseOptions {
  /** what errors call it; default `<text>` */
  readonly file?: string | undefined
  /** default: as the end of `file` says, `.toml`, `.yaml` or `.yml`; else `"jsonc"` */
  readonly format?: "jsonc" | "toml" | "yaml" | undefined
  /** what `${workspaceFolder}` stands for; default: nothing, so that it is a mistake */
  readonly folder?: string | undefined
}

/**
 * How a file is read.
 *
 * @since 0.1.0
 */
export interface LoadOptions {
  /** default: as the end of its name says, `.toml`, `.yaml` or `.yml`; else `"jsonc"` */
  readonly format?: "jsonc" | "toml" | "yaml" | undefined
}

/**
 * How a file is watched.
 *
 * @since 0.1.0
 */
export interface WatchOptions extends LoadOptions {
  /** how long after a change the file is read, so that many changes are one; default 100 milliseconds */
  readonly debounce?: Duration.Input | undefined
}

/**
 * How a fleet is kept as a file says.
 *
 * @since 0.1.0
 */
export interface FollowOptions extends WatchOptions {
  /**
   * how long after the fleet has refused what the file says it is asked again, since what it lacks may come, such as a command
   * that is being installed; default 30 seconds
   */
  readonly retry?: Duration.Input | undefined
}

/**
 * What a fleet took from a file.
 *
 * @since 0.1.0
 */
export interface Applied {
  /** what that changed; empty where the file says again what holds already */
  readonly changes: ReadonlyArray<Fleet.Change>
  /** what was ignored, in the order of the file */
  readonly warnings: ReadonlyArray<Issue>
}

/**
 * What takes the servers of a file: a fleet, or what does more with them before or after it gives them to one.
 *
 * @since 0.1.0
 */
export interface Taking {
  readonly apply: (
    specs: ReadonlyArray<BackendSpec>
  ) => Effect.Effect<ReadonlyArray<Fleet.Change>, Fleet.FleetConfigurationError>
}

/**
 * Reads a text of at most 16 MiB. Of the outside it sees the environment only, through `Config`; an `envFile` is not read, but warned of.
 *
 * @since 0.1.0
 */
export const parse = (text: string, options: ParseOptions = {}): Effect.Effect<Loaded, ConfigFileError> =>
  Loading.ofText(text, options, File.decode)

/**
 * Reads a file of at most 16 MiB with at most 10,000 servers, in UTF-8. `${workspaceFolder}` is its folder, or the one in which its
 * `.vscode` or `.cursor` stands; an `envFile` is seen from there.
 *
 * @since 0.1.0
 */
export const load = (
  path: string,
  options: LoadOptions = {}
): Effect.Effect<Loaded, ConfigFileError, FileSystem.FileSystem | Path.Path> =>
  Loading.ofFile(path, options, File.decode)

/**
 * What a file says now, and then whenever it says something else: specs, or what is wrong with it, which changes nothing for who
 * goes on with the specs before. It never fails and never ends.
 *
 * The file may be written in place, replaced, or exchanged by a symbolic link anywhere on its way. It may also be missing: that is a mistake
 * like any other, until it is there. A content that says the same is not told again, nor are the same mistakes. Before mistakes are told the
 * file is read once more, in case it was being written. A change of an `envFile` alone is not seen.
 *
 * @since 0.1.0
 */
export const watch = (
  path: string,
  { debounce = Duration.millis(100), ...options }: WatchOptions = {}
): Stream.Stream<Result.Result<Loaded, ConfigFileError>, never, FileSystem.FileSystem | Path.Path> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const watcher = yield* Watch.make(path)
      let told: Result.Result<Loaded, ConfigFileError> | undefined
      const read = Effect.result(load(path, options))
      /** What it says once it says the same twice, or is right. */
      const settled = Effect.gen(function* () {
        let now = yield* read
        while (Result.isFailure(now) && !isSame(now, told)) {
          yield* Effect.sleep(debounce)
          const before: Result.Result<Loaded, ConfigFileError> = now
          now = yield* read
          if (isSame(now, before)) break
        }
        return now
      })
      const next: Effect.Effect<Result.Result<Loaded, ConfigFileError>> = Effect.gen(function* () {
        while (true) {
          if (told !== undefined) {
            yield* watcher.changed
            yield* Effect.sleep(debounce)
          }
          // what changes after it is watched is seen, what changed before is read
          while (yield* watcher.follow(false)) continue
          let now = yield* settled
          if (isLost(now)) {
            yield* watcher.follow(true)
            now = yield* settled
          }
          if (isSame(now, told)) continue
          told = now
          return now
        }
      }).pipe(Effect.provideContext(yield* Effect.context<FileSystem.FileSystem | Path.Path>()))
      return Stream.fromEffectRepeat(next)
    })
  )

/**
 * Keeps a fleet as a file says, now and whenever it says something else: while the stream is run, which never fails and never ends. What
 * comes of each content is told: what it changed, or what is wrong with it, for the file or for the fleet (no transport of that
 * kind, a command that does not exist). Then the fleet stays as it is, until the next content that is right. The same mistakes are told
 * once. Where a change takes long, because sessions are closed, of the contents that come meanwhile the last is taken.
 *
 * @since 0.1.0
 */
export const follow = (
  path: string,
  fleet: Taking,
  { retry = Duration.seconds(30), ...options }: FollowOptions = {}
): Stream.Stream<
  Result.Result<Applied, ConfigFileError | Fleet.FleetConfigurationError>,
  never,
  FileSystem.FileSystem | Path.Path
> => Following.make(watch(path, options), fleet, retry)

/** Nothing of it could be read. */
const isLost = (read: Result.Result<Loaded, ConfigFileError>): boolean =>
  Result.isFailure(read) && read.failure.issues.every(({ line }) => line === undefined)

const isSame = (
  one: Result.Result<Loaded, ConfigFileError>,
  other: Result.Result<Loaded, ConfigFileError> | undefined
): boolean => {
  if (other === undefined) return false
  if (Result.isSuccess(one)) return Result.isSuccess(other) && Equal.equals(saidBy(one.success), saidBy(other.success))
  return Result.isFailure(other) && Equal.equals(one.failure.issues, other.failure.issues)
}

/** What is ignored is the same on another line. */
const saidBy = ({ specs, warnings }: Loaded) => [specs, warnings.map(({ expected, path }) => [path, expected])]
