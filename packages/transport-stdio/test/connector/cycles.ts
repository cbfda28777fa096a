/**
 * A process that holds one connector, whose servers are killed again and again, and nothing else: what is left in it is the
 * connector's. `node --expose-gc cycles.ts [kept]` sends one {@link Report}; with `kept` it keeps the client of each cycle.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector } from "@vmcp-keepalive/core"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Deferred, Effect, Exit, Scope } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { StdioConnector } from "../../src/index.ts"

export interface Report {
  readonly cycles: number
  /** how many servers were started, in groups of their own */
  readonly starts: number
  readonly groups: number
  /** how many processes of those groups were there when their sessions had ended */
  readonly processes: number
  /** how many descriptors were open after each cycle, each number once */
  readonly descriptors: ReadonlyArray<number>
  /** bytes on the heap, of the least squares line */
  readonly heapPerCycle: number
}

const cycles = 60
/** Until then caches fill. */
const warm = 20

const heapUsed = async () => {
  for (let round = 0; round < 2; round++) {
    globalThis.gc?.()
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}

/** Of the least squares line through values that are one apart. */
const slope = (values: ReadonlyArray<number>): number => {
  const middle = (values.length - 1) / 2
  const above = values.reduce((sum, value, index) => sum + (index - middle) * value, 0)
  return above / values.reduce((sum, _, index) => sum + (index - middle) ** 2, 0)
}

const kept: Array<Client> = []

const cycle = Effect.fnUntraced(function* (
  connector: StdioConnector.StdioConnector,
  server: StdioServers.ScriptedStdioServer,
  atWork: boolean
) {
  const before = new Set(ProcessGroups.children().map(({ pid }) => pid))
  const lost = yield* Deferred.make<void>()
  const host: Connector.SessionHost = {
    alive: () => performance.now(),
    observe: () => {},
    output: () => {},
    notice: () => {},
    listChanged: () => {},
    lost: () => void Deferred.doneUnsafe(lost, Exit.void),
    subscriptions: new Set()
  }
  const scope = yield* Scope.make()
  const session = yield* Scope.provide(connector.open(host), scope)
  const group = ProcessGroups.children().find(({ pid }) => !before.has(pid))?.pid ?? 0
  const { client } = session.call()
  if (process.argv.includes("kept")) kept.push(session.client)
  yield* Effect.promise(() => client.callTool(server.echo("hello")))
  const calling = atWork ? client.callTool(server.slow(60)).catch(() => {}) : Promise.resolve()
  ProcessGroups.signal(group, "SIGKILL")
  yield* Deferred.await(lost)
  yield* Scope.close(scope, Exit.void)
  yield* Effect.promise(() => calling)
  return group
})

const main = Effect.gen(function* () {
  const server = yield* StdioServers.scripted()
  const { args, command } = server
  const connector = StdioConnector.make({ command, args, env: { SOME: "variable" }, stderr: { lines: 5 } })
  const groups = new Set<number>()
  const descriptors = new Set<number>()
  const heap: Array<number> = []
  let processes = 0
  for (let count = 1; count <= cycles; count++) {
    const group = yield* cycle(connector, server, count % 2 === 0)
    groups.add(group)
    processes += ProcessGroups.members(group).length
    if (count <= warm) continue
    heap.push(yield* Effect.promise(heapUsed))
    descriptors.add(ProcessGroups.openFds())
  }
  const report: Report = {
    cycles,
    starts: yield* server.starts,
    groups: groups.size,
    processes,
    descriptors: [...descriptors],
    heapPerCycle: slope(heap)
  }
  process.send?.(report)
})

process.on("disconnect", () => process.exit())
await Effect.runPromise(Effect.scoped(main))
process.disconnect()
