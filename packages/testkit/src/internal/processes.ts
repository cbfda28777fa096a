/**
 * Processes by the mark they carry in their environment, which every descendant inherits, also one in a process group
 * of its own (supergateway gives each child one) or whose parent has died. Needs /proc, so Linux.
 */
import { Effect, Schedule } from "effect"
import { readdirSync, readFileSync, rmSync } from "node:fs"

const variable = "VMCP_TESTKIT_MARK"

/** The environment that marks a process and its descendants. */
export const environment = (mark: string): Record<string, string> => ({ [variable]: mark })

const watchVariable = "VMCP_TESTKIT_WATCH"

/** Marks this process, so that whatever it starts from now on with an inherited environment can be found. */
export const watch = (): string => (process.env[watchVariable] ??= `${process.pid}`)
/** The environment that a watched process hands on. */
export const watched = (): Record<string, string> => {
  const mark = process.env[watchVariable]
  return mark === undefined ? {} : { [watchVariable]: mark }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return "" // It has gone meanwhile, or is not ours.
  }
}

/** Pids that carry the mark and live; a zombie has no environment any more. */
export const marked = (mark: string): ReadonlyArray<number> => withEntry(`${variable}=${mark}`)

/** Pids that a watched process started, directly or not. */
export const startedBy = (watchMark: string): ReadonlyArray<number> => withEntry(`${watchVariable}=${watchMark}`)

const withEntry = (entry: string): ReadonlyArray<number> => {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && read(`/proc/${pid}/environ`).split("\0").includes(entry))
}

export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** One letter, as in /proc/pid/stat: `Z` is a zombie. */
  readonly state: string
  readonly command: string
}

/** Every process, zombies included. */
export const all = (): ReadonlyArray<ProcessInfo> =>
  readdirSync("/proc").flatMap((name) => {
    const pid = Number(name)
    if (!(pid > 0)) return []
    const stat = read(`/proc/${pid}/stat`)
    // The command is in parentheses and may itself contain some.
    const [state = "", parent = "0", group = "0"] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    if (state === "") return []
    const command = read(`/proc/${pid}/cmdline`).split("\0").join(" ").trim()
    return [{ pid, parent: Number(parent), group: Number(group), state, command }]
  })

export const signal = (pids: ReadonlyArray<number>, name: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // It has gone meanwhile.
    }
  }
}

/** SIGKILL to what `pids` finds, again until it finds nothing: a process may have forked meanwhile. */
export const killAll = (pids: () => ReadonlyArray<number>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const found = pids()
    if (found.length === 0) return Effect.succeed(true)
    signal(found, "SIGKILL")
    return Effect.succeed(false)
  }).pipe(Effect.repeat({ schedule: Schedule.spaced("5 millis"), until: (gone: boolean) => gone }), Effect.asVoid)

/** Temporary directory of each mark. */
const owned = new Map<string, string>()
const endOwned = () => {
  for (const [mark, directory] of owned) {
    signal(marked(mark), "SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Last resort: until released, `process.exit` of this process kills what carries the mark and removes the directory. */
export const own = (mark: string, directory: string): (() => void) => {
  if (owned.size === 0) process.on("exit", endOwned)
  owned.set(mark, directory)
  return () => {
    owned.delete(mark)
    if (owned.size === 0) process.off("exit", endOwned)
  }
}
