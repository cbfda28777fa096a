/** What this process holds. Needs /proc, so Linux. */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import * as Heap from "./Heap.ts"

/** What is open. */
export interface Held {
  /** open file descriptors */
  readonly descriptors: number
  /** how many there are of each of `process.getActiveResourcesInfo()` */
  readonly resources: Readonly<Record<string, number>>
}

const resourcesNow = () => {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo().toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** What is open once nothing has changed for a while: a timer between two runs of its fiber is not gone. */
export const atRest = async (): Promise<Held> => {
  let held: Held = { descriptors: 0, resources: {} }
  for (let same = 0; same < 3;) {
    await sleep(5)
    const now: Held = { descriptors: ProcessGroups.openFds(), resources: resourcesNow() }
    same = isDeepStrictEqual(now, held) ? same + 1 : 0
    held = now
  }
  return held
}

/** What it weighs, in bytes but for the descriptors. */
export interface Weight {
  readonly heap: number
  /** resident: what V8 and the allocator keep for later counts too */
  readonly rss: number
  readonly descriptors: number
}

/** Once nothing changes and the garbage is collected. Needs `--expose-gc`. */
export const weight = async (): Promise<Weight> => {
  const { descriptors } = await atRest()
  const heap = await Heap.used()
  return { heap, rss: process.memoryUsage.rss(), descriptors }
}

/** The difference, for each of `count`. */
export const each = (before: Weight, after: Weight, count: number): Weight => ({
  heap: (after.heap - before.heap) / count,
  rss: (after.rss - before.rss) / count,
  descriptors: (after.descriptors - before.descriptors) / count
})

/** Fails where this process, and so its children, may not open so many descriptors: connections would be waited for in vain. */
export const needDescriptors = (count: number): void => {
  // Node has raised its own limit as far as it may
  const most = Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1])
  if (most < count) throw new Error(`${count} file descriptors are needed and ${most} are allowed: ulimit -Hn`)
}
