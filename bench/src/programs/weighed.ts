/** Loaded into a program that is weighed, before anything else: tells its parent what it holds, whenever it is asked. */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import * as Heap from "../Heap.ts"
import type { Weight } from "../Held.ts"

const weight = async (): Promise<Weight> => {
  const heap = await Heap.used()
  return { heap, rss: process.memoryUsage.rss(), descriptors: ProcessGroups.openFds() }
}

process.on("message", () => void weight().then((weight) => process.send?.(weight)))
// it is no reason to go on
process.channel?.unref()
