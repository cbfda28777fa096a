/** The heap of this process. Needs `--expose-gc`. */
import { setTimeout as sleep } from "node:timers/promises"

/** Bytes in use once the garbage is collected. */
export const used = async (): Promise<number> => {
  if (globalThis.gc === undefined) throw new Error("the heap is measured with node --expose-gc")
  for (let round = 0; round < 2; round++) {
    globalThis.gc()
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}
