/** A file in a folder of its own, and a fleet that follows it. */
import { NodeServices } from "@effect/platform-node"
import { BackendSpec, type ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { Fleet, type KeepaliveEvent } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Queue, Result, Schedule, type Scope, Stream } from "effect"
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** How people and programs write files. */
export const ways = ["rename", "in place", "symlink swap"] as const
export type Way = (typeof ways)[number]

export interface File {
  readonly path: string
  /** writes text, or an object as JSON */
  readonly write: (content: unknown) => void
}

/** A file that is always written in one way; it is removed with the scope. */
export const file = (way: Way, first: unknown): Effect.Effect<File, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "keepalive-fleet-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const path = join(folder, "mcp.json")
      let version = 0
      const write = (content: unknown) => {
        const text = typeof content === "string" ? content : JSON.stringify(content, null, 2)
        version += 1
        if (way === "in place") return writeFileSync(path, text)
        if (way === "rename") {
          writeFileSync(`${path}.new`, text)
          return renameSync(`${path}.new`, path)
        }
        const data = `v${version}`
        mkdirSync(join(folder, data))
        writeFileSync(join(folder, data, "mcp.json"), text)
        symlinkSync(data, join(folder, "..next"))
        renameSync(join(folder, "..next"), join(folder, "..data"))
        if (version === 1) symlinkSync(join("..data", "mcp.json"), path)
      }
      write(first)
      return { path, write }
    }
  )

export type Told = Result.Result<
  KeepaliveConfig.Applied,
  ConfigFileError.ConfigFileError | Fleet.FleetConfigurationError
>

/** A fleet that follows a file, and everything it said. */
export interface Followed<Client> {
  readonly fleet: Fleet.Fleet<Client>
  /** what the file led to next; fails the test where nothing comes for ten seconds */
  readonly told: Effect.Effect<string>
  /** how much was told that nobody has looked at */
  readonly untold: Effect.Effect<number>
  readonly changes: ReadonlyArray<Fleet.Change>
  readonly events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>
}

/** Begins to follow; what the file says first has been taken, and is to be `told`. */
export const follow = Effect.fnUntraced(function* <Client>(
  path: string,
  options: KeepaliveConfig.FollowOptions = {}
): Effect.fn.Return<Followed<Client>, never, Scope.Scope | Fleet.Transport<Client>> {
  const fleet = yield* Fleet.make<Client>()
  const changes: Array<Fleet.Change> = []
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const outcomes = yield* Queue.unbounded<Told>()
  yield* Effect.forkScoped(Stream.runForEach(fleet.changes, (change) => Effect.sync(() => changes.push(change))))
  yield* Effect.forkScoped(Stream.runForEach(fleet.events, (event) => Effect.sync(() => events.push(event))))
  // both read before anything happens
  yield* Effect.sleep(0)
  yield* KeepaliveConfig.follow(path, fleet, { debounce: 20, ...options }).pipe(
    Stream.runForEach((outcome) => Queue.offer(outcomes, outcome)),
    Effect.provide(NodeServices.layer),
    Effect.forkScoped
  )
  return {
    fleet,
    told: Queue.take(outcomes).pipe(Effect.timeout("10 seconds"), Effect.orDie, Effect.map(inWords)),
    untold: Queue.size(outcomes),
    changes,
    events
  }
})

/** `Added a, Replaced b (policy)`, or the mistakes. */
const inWords = (outcome: Told): string =>
  Result.isSuccess(outcome) ? shown(outcome.success.changes) : `refused: ${outcome.failure.message}`

/** Changes, one behind the other. */
export const shown = (changes: ReadonlyArray<Fleet.Change>): string =>
  changes
    .map((change) => `${change._tag} ${change.id}${change._tag === "Replaced" ? ` (${change.what.join(", ")})` : ""}`)
    .join(", ")

/** Servers in memory, one for each URL, with the clients of which it was asked. */
export const inMemory = (servers = new Map<string, ScriptedServer.ScriptedServer>()) => ({
  servers,
  transport: Fleet.layerTransport<BackendSpec.HttpSettings, ScriptedServer.ScriptedClient>("http", {
    is: (settings): settings is BackendSpec.HttpSettings => settings.kind === "http",
    make: ({ url }) => {
      const key = BackendSpec.reveal(url)
      const server = servers.get(key) ?? ScriptedServer.make()
      servers.set(key, server)
      return server.connector
    }
  })
})

/** Waits until it holds: the look is cheap, and the state is another process's. */
export const until = (what: string, holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  holds.pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (held) => held }),
    Effect.timeoutOrElse({ duration: "15 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
    Effect.asVoid
  )
