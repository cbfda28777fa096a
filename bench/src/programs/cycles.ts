/**
 * A process that holds one backend over stdio, whose server is killed 1,000 times, and nothing else: what is left in it
 * is the backend's. It sends one {@link Report} to its parent.
 */
import { NodeServices } from "@effect/platform-node"
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import * as Heap from "../Heap.ts"
import * as StdioBackend from "../StdioBackend.ts"

/** What is there while a session is open and nothing happens. */
interface Held {
  /** open file descriptors */
  readonly descriptors: number
  /** how many there are of each of `process.getActiveResourcesInfo()` */
  readonly resources: Readonly<Record<string, number>>
}

export interface Report {
  readonly cycles: number
  /** what the cycles took together, without what was looked at between them */
  readonly milliseconds: number
  /** processes in the groups of servers that were killed, and children once the backend is closed */
  readonly processes: number
  /** once everything was used for the first time */
  readonly before: Held
  readonly after: Held
  /** bytes, of the least squares line from cycle `heapFrom` on */
  readonly heapPerCycle: number
  readonly warm: number
  readonly heapFrom: number
}

const cycles = 1000
/** the first time of everything is over */
const warm = 20
/** V8's caches are full */
const heapFrom = 200
/** how often the heap is looked at */
const heapEvery = 20

const resourcesNow = () => {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo().toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** What is there once nothing has changed for a while: a timer between two runs of its fiber is not gone. */
const heldAtRest = async (): Promise<Held> => {
  let held: Held = { descriptors: 0, resources: {} }
  for (let same = 0; same < 3;) {
    await sleep(5)
    const now: Held = { descriptors: ProcessGroups.openFds(), resources: resourcesNow() }
    same = isDeepStrictEqual(now, held) ? same + 1 : 0
    held = now
  }
  return held
}

/** Of the least squares line through values that are one apart. */
const slope = (values: ReadonlyArray<number>): number => {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [index, value] of values.entries()) {
    above += (index - middle) * (value - mean)
    below += (index - middle) ** 2
  }
  return above / below
}

const cycling = Effect.gen(function* () {
  const { cycle, pid } = yield* StdioBackend.make("stdio-cycles")
  let milliseconds = 0
  let processes = 0
  let before: Held | undefined
  const heap: Array<number> = []
  for (let count = 1; count <= cycles; count++) {
    const began = performance.now()
    const group = yield* cycle
    milliseconds += performance.now() - began
    // now, because numbers of processes come again
    processes += ProcessGroups.members(group).length
    if (count === warm) before = yield* Effect.promise(heldAtRest)
    if (count >= heapFrom && count % heapEvery === 0) heap.push(yield* Effect.promise(Heap.used))
  }
  const after = yield* Effect.promise(heldAtRest)
  const last = yield* pid
  return { milliseconds, processes, before: before ?? after, after, heapPerCycle: slope(heap) / heapEvery, last }
})

const main = Effect.gen(function* () {
  const { last, processes, ...found } = yield* Effect.scoped(cycling)
  const left = ProcessGroups.members(last).length + ProcessGroups.children().length
  const report: Report = { ...found, processes: processes + left, cycles, warm, heapFrom }
  process.send?.(report)
})

process.on("disconnect", () => process.exit())
await Effect.runPromise(Effect.provide(main, NodeServices.layer))
process.disconnect()
