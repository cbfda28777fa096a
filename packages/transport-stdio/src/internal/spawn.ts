/**
 * Starts a process, as the leader of a process group of its own, and signals that group.
 */
import { type ChildProcess, execFile, spawn as spawnProcess, type SpawnOptions } from "node:child_process"
import * as Effect from "effect/Effect"
import { SpawnFailure } from "./spawnFailure.ts"

/** A process that has been started. */
export interface Started {
  readonly process: ChildProcess
  /** of the process and of its group */
  readonly pid: number
}

/** Starts it. On Windows there are no process groups. */
export const start = (
  command: string,
  args: ReadonlyArray<string>,
  options: Pick<SpawnOptions, "cwd" | "env" | "stdio">
): Effect.Effect<Started, SpawnFailure> =>
  Effect.callback((resume) => {
    try {
      const detached = process.platform !== "win32"
      const started = spawnProcess(command, args, { ...options, detached, windowsHide: true })
      // Without one, the first error would end this process.
      started.on("error", (cause) => resume(Effect.fail(new SpawnFailure(cause))))
      const { pid } = started
      if (pid !== undefined) resume(Effect.succeed({ process: started, pid }))
    } catch (cause) {
      // What Node finds out before there is a process (E2BIG, EINVAL) it throws.
      resume(Effect.fail(new SpawnFailure(cause)))
    }
  })

/** Whether it has exited, so that its number may be another's. */
export const hasExited = ({ process }: Started): boolean => process.exitCode !== null || process.signalCode !== null

/** Whether it has not exited, or something of its group lives. Zombies that nobody has reaped count as living. */
export const isAlive = (started: Started): boolean => {
  if (!hasExited(started)) return true
  if (process.platform === "win32") return false
  try {
    process.kill(-started.pid, 0)
    return true
  } catch (error) {
    // on macOS a group of zombies may not be signalled
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Signals it and its group, as far as they are there. On Windows every signal ends the whole tree. */
export const signal = (started: Started, name: "SIGTERM" | "SIGKILL"): void => {
  if (process.platform === "win32") {
    if (!hasExited(started))
      execFile("taskkill", ["/pid", String(started.pid), "/T", "/F"], { windowsHide: true }, () => {})
    return
  }
  try {
    process.kill(-started.pid, name)
  } catch {
    if (!hasExited(started)) started.process.kill(name)
  }
}
