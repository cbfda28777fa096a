/** A process that holds the fleet of one file, on sessions in memory: how long it takes to be there, what it holds, and its end. */
import { NodeServices } from "@effect/platform-node"
import { BackendSpec, KeepaliveConfig } from "@vmcp-keepalive/config"
import { Fleet } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Exit, FileSystem, Schedule, Scope } from "effect"
import * as Heap from "../Heap.ts"
import * as Program from "../Program.ts"
import * as Session from "../Session.ts"

export interface Report {
  /** milliseconds from the file to its specs; for sessions alone 0 */
  readonly read: number
  /** milliseconds from the specs to a fleet that has them */
  readonly made: number
  /** milliseconds from then until all are connected */
  readonly connected: number
  /** milliseconds for a file of which one backend has another policy */
  readonly changed: number
  /** bytes that each holds */
  readonly heap: number
  /** milliseconds in which all were closed */
  readonly closed: number
}

export type Kind = "fleet" | "sessions"

const transport = Fleet.layerTransport<BackendSpec.HttpSettings, ScriptedServer.ScriptedClient>("http", {
  is: (settings): settings is BackendSpec.HttpSettings => settings.kind === "http",
  make: () => ScriptedServer.make().connector
})

/** What an effect takes, in milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (result) => [performance.now() - began, result] as const)
  })

/** Bytes in use, once what was read and is not kept is collected too: that takes more than one round, since texts are redacted by weak maps. */
const settled = Effect.promise(async () => {
  let least = await Heap.used()
  for (let round = 0; round < 8; round++) least = Math.min(least, await Heap.used())
  return least
})

/** A file of so many servers, of which the first may have an interval of its own. */
const written = Effect.fnUntraced(function* (count: number, interval = 300) {
  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped({ prefix: "vmcp-bench-" })}/mcp.json`
  const servers = Array.from({ length: count }, (_, index) => [
    `server-${index}`,
    {
      url: `https://example.com/${index}/mcp`,
      headers: { Authorization: `Bearer ${index}` },
      keepalive_interval: index === 0 ? interval : 300
    }
  ])
  yield* fs.writeFileString(path, JSON.stringify({ mcpServers: Object.fromEntries(servers) }))
  return path
})

const ofFleet = Effect.fnUntraced(function* (count: number) {
  const path = yield* written(count)
  const other = yield* written(count, 30)
  const before = yield* settled
  const scope = yield* Scope.make()
  const fleet = yield* Scope.provide(Effect.provide(Fleet.make<ScriptedServer.ScriptedClient>(), transport), scope)
  const load = Effect.map(KeepaliveConfig.load(path), ({ specs }) => specs)
  const [read, specs] = yield* timed(load)
  const [made] = yield* timed(fleet.apply(specs))
  const states = Effect.map(fleet.states, (all) => [...all.values()])
  const [connected] = yield* timed(
    Effect.repeat(states, {
      schedule: Schedule.spaced("10 millis"),
      until: (all) => all.every(({ _tag }) => _tag === "Connected")
    })
  )
  const [changed, changes] = yield* timed(
    Effect.flatMap(KeepaliveConfig.load(other), (loaded) => fleet.apply(loaded.specs))
  )
  if (changes.length !== 1) return yield* Effect.die(`${changes.length} of one backend were changed`)
  return { read, made, connected, changed, before, scope }
})

const ofSessions = Effect.fnUntraced(function* (count: number) {
  const before = yield* settled
  const scope = yield* Scope.make()
  const open = Effect.suspend(() => Session.hold(ScriptedServer.make().connector))
  yield* Scope.provide(
    Effect.forEach(Array.from({ length: count }), () => open, { discard: true }),
    scope
  )
  return { read: 0, made: 0, connected: 0, changed: 0, before, scope }
})

const report = Effect.gen(function* () {
  const [, , kind, size] = process.argv
  const count = Number(size)
  const make = kind === "fleet" ? ofFleet : ofSessions
  // the first time of everything is over
  const warm = yield* make(500)
  yield* Scope.close(warm.scope, Exit.void)

  const { before, scope, ...took } = yield* make(count)
  const heap = ((yield* settled) - before) / count
  const [closed] = yield* timed(Scope.close(scope, Exit.void))
  return { ...took, heap, closed } satisfies Report
}).pipe(Effect.provide(NodeServices.layer))

await Program.main(report)
