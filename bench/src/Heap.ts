/** The heap of this process. Needs `--expose-gc`. */
import { setTimeout as sleep } from "node:timers/promises"
import { getHeapSpaceStatistics } from "node:v8"

const gc = (options: NodeJS.GCOptions): void => {
  if (globalThis.gc === undefined) throw new Error("the heap is measured with node --expose-gc")
  void globalThis.gc(options)
}

/**
 * Bytes in use once the garbage is collected. Without compiled code and bytecode, which are the process's, however many there are of
 * what is measured, and grow whenever the JIT finds the time.
 */
export const used = async (): Promise<number> => {
  for (let round = 0; round < 2; round++) {
    gc({ type: "major" })
    await sleep(20)
  }
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !/code|trusted/.test(name))
    .reduce((sum, { space_used_size: size }) => sum + size, 0)
}

/** Collects what was allocated lately: a millisecond, where all of the heap takes twenty. */
export const collectYoung = (): void => gc({ type: "minor" })
