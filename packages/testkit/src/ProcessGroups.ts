/** Processes and file descriptors as the kernel lists them, by process group. Needs /proc, so Linux. */
import { Effect } from "effect"
import { readdirSync, readlinkSync } from "node:fs"
import * as Processes from "./internal/processes.ts"
import type { ProcessInfo } from "./internal/processes.ts"

export type { ProcessInfo } from "./internal/processes.ts"

/** The live processes of a group, whether their parent lives or not; zombies do not count. */
export const members = (group: number): ReadonlyArray<ProcessInfo> =>
  Processes.live().filter((found) => found.group === group)

/** The live children of this process; zombies do not count. */
export const children = (): ReadonlyArray<ProcessInfo> =>
  Processes.live().filter(({ parent }) => parent === process.pid)

/** Sends it to a process or, if the number is negative, to a group. Nothing to do when that has gone. */
export const signal = (pid: number, name: NodeJS.Signals): void => Processes.signal([pid], name)

/** Waits until the group has no member; looks every 5 ms of real time, for ever. */
export const awaitGone = (group: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (members(group).length === 0) return resume(Effect.void)
    const look = setInterval(() => {
      if (members(group).length > 0) return
      clearInterval(look)
      resume(Effect.void)
    }, 5)
    return Effect.sync(() => clearInterval(look))
  })

/** How many file descriptors this process has open. */
export const openFds = (): number =>
  // Without the one that reads them.
  readdirSync("/proc/self/fd").length - 1

/** What the descriptors of a process are open on, as `pipe:[4711]` or a path; none when it has gone. */
export const fdsOf = (pid: number): ReadonlyArray<string> => {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`)
      } catch {
        return [] // It was closed meanwhile.
      }
    })
  } catch {
    return []
  }
}
