/**
 * Descendants of a child that have left its process group (`setsid`) and still hold its pipes: a signal to the group does
 * not reach them. Linux tells who they are; elsewhere none is found.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

/** What the pipes of a child are called by the kernel, as long as one process has them open. */
export type Pipes = ReadonlySet<string>

/** stdout and stderr. Descendants may have them as stdin, too. */
const outputs = [1, 2]
const inherited = [0, 1, 2]

const linksOf = Effect.fnUntraced(function* (pid: number | string, descriptors: ReadonlyArray<number>) {
  const fs = yield* FileSystem.FileSystem
  const links = yield* Effect.forEach(descriptors, (fd) => Effect.option(fs.readLink(`/proc/${pid}/fd/${fd}`)))
  return links.flatMap((link) => (link._tag === "Some" ? [link.value] : []))
})

/** The pipes of a child that was just started. */
export const pipesOf = (pid: number): Effect.Effect<Pipes, never, FileSystem.FileSystem> =>
  Effect.map(linksOf(pid, outputs), (links) => new Set(links.filter((link) => /^(socket|pipe):/.test(link))))

/** SIGKILL to whoever still has one of them. */
export const kill = Effect.fnUntraced(function* (pipes: Pipes) {
  if (pipes.size === 0) return
  const fs = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(fs.readDirectory("/proc"), () => [])
  for (const pid of names.map(Number).filter((pid) => pid > 0 && pid !== process.pid)) {
    const links = yield* linksOf(pid, inherited)
    if (links.some((link) => pipes.has(link))) yield* Effect.ignore(Effect.try(() => process.kill(pid, "SIGKILL")))
  }
})
