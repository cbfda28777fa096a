/** The heap of this process. Needs `--expose-gc`. */
import { setTimeout as sleep } from "node:timers/promises"

const gc = (options: NodeJS.GCOptions): void => {
  if (globalThis.gc === undefined) throw new Error("the heap is measured with node --expose-gc")
  void globalThis.gc(options)
}

/** Bytes in use once the garbage is collected. */
export const used = async (): Promise<number> => {
  for (let round = 0; round < 2; round++) {
    gc({ type: "major" })
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}

/** Collects what was allocated lately: a millisecond, where all of the heap takes twenty. */
export const collectYoung = (): void => gc({ type: "minor" })
