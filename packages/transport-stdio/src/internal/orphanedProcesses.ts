/**
 * Orphaned processes: descendants of a child that have left its process group (`setsid`), so that a signal to the group does
 * not reach them, and still have its pipes open. Linux tells who they are; elsewhere none is found.
 */
import { readlinkSync } from "node:fs"
import { readdir, readlink } from "node:fs/promises"
import * as Effect from "effect/Effect"

/** The names that the kernel gives the pipes of a child, as long as one process has them open. */
export type Pipes = ReadonlySet<string>

/** The pipes that a child has as stdout and stderr. It was started just now: one that is gone has none any more. */
export const pipesOf = (pid: number): Pipes => {
  const found = new Set<string>()
  if (process.platform !== "linux") return found
  for (const descriptor of [1, 2]) {
    try {
      const link = readlinkSync(`/proc/${pid}/fd/${descriptor}`)
      if (/^(socket|pipe):/.test(link)) found.add(link)
    } catch {
      // gone, or another user's
    }
  }
  return found
}

/** SIGKILL to every process that still has one of them open, under whatever descriptor. */
export const kill = (pipes: Pipes): Effect.Effect<void> =>
  pipes.size === 0
    ? Effect.void
    : Effect.promise(async () => {
        for (const pid of (await namesIn("/proc")).map(Number).filter((pid) => pid > 0 && pid !== process.pid))
          if (await hasOneOf(pid, pipes)) killOne(pid)
      })

const namesIn = (directory: string): Promise<ReadonlyArray<string>> => readdir(directory).catch(() => [])

const hasOneOf = async (pid: number, pipes: Pipes): Promise<boolean> => {
  const directory = `/proc/${pid}/fd`
  const names = await namesIn(directory)
  const links = await Promise.all(names.map((name) => readlink(`${directory}/${name}`).catch(() => "")))
  return links.some((link) => pipes.has(link))
}

const killOne = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // it has gone meanwhile
  }
}
