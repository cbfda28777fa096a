/**
 * A process that holds one backend over stdio, whose server is killed 1,000 times, and nothing else: what is left in it
 * is the backend's. It sends one {@link Report} to its parent.
 */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import * as Heap from "../Heap.ts"
import * as Held from "../Held.ts"
import * as Program from "../Program.ts"
import * as StdioBackend from "../StdioBackend.ts"

export interface Report {
  readonly cycles: number
  /** what the cycles took together, without what was looked at between them */
  readonly milliseconds: number
  /** processes in the groups of servers that were killed, and children once the backend is closed */
  readonly processes: number
  /** once everything was used for the first time */
  readonly before: Held.Held
  readonly after: Held.Held
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
  let before: Held.Held | undefined
  const heap: Array<number> = []
  for (let count = 1; count <= cycles; count++) {
    const began = performance.now()
    const group = yield* cycle
    milliseconds += performance.now() - began
    // now, because numbers of processes come again
    processes += ProcessGroups.members(group).length
    if (count === warm) before = yield* Effect.promise(Held.atRest)
    if (count >= heapFrom && count % heapEvery === 0) heap.push(yield* Effect.promise(Heap.used))
  }
  const after = yield* Effect.promise(Held.atRest)
  const last = yield* pid
  return { milliseconds, processes, before: before ?? after, after, heapPerCycle: slope(heap) / heapEvery, last }
})

const report = Effect.gen(function* () {
  const { last, processes, ...found } = yield* Effect.scoped(cycling)
  const left = ProcessGroups.members(last).length + ProcessGroups.children().length
  return { ...found, processes: processes + left, cycles, warm, heapFrom } satisfies Report
})

await Program.main(report)
