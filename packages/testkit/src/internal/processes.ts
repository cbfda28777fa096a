/**
 * Processes by the mark they carry in their environment, which every descendant inherits, also one in a process group
 * of its own (supergateway gives each child one) or whose parent has died. Needs /proc, so Linux.
 */
import { Effect, Schedule } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Temporary from "./temporary.ts"

const variable = "VMCP_TESTKIT_MARK"

/** The environment that marks a process and its descendants. */
export const environment = (mark: string): Record<string, string> => ({ [variable]: mark })

const watchVariable = "VMCP_TESTKIT_WATCH"

/**
 * Marks this process, so that whatever it starts from now on with an inherited environment can be found, and what that
 * starts in turn for a temporary directory of its own, whatever the environment.
 */
export const watch = (): string => {
  Temporary.shareMark()
  return (process.env[watchVariable] ??= `${process.pid}`)
}
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

/** Pids that use a temporary directory of ours, whoever started them and with whatever environment. */
export const using = (): ReadonlyArray<number> =>
  pids().filter((pid) => read(`/proc/${pid}/cmdline`).includes(Temporary.mark) || environ(pid).includes(Temporary.mark))

const pids = () =>
  readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
const environ = (pid: number) => read(`/proc/${pid}/environ`)
const withEntry = (entry: string): ReadonlyArray<number> =>
  pids().filter((pid) => environ(pid).split("\0").includes(entry))

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
  pids().flatMap((pid) => {
    const stat = read(`/proc/${pid}/stat`)
    // The command is in parentheses and may itself contain some.
    const [state = "", parent = "0", group = "0"] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    if (state === "") return []
    const command = read(`/proc/${pid}/cmdline`).split("\0").join(" ").trim()
    return [{ pid, parent: Number(parent), group: Number(group), state, command }]
  })

/** Every process but zombies. */
export const live = (): ReadonlyArray<ProcessInfo> => all().filter(({ state }) => state !== "Z")

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

/** Last resort: until released, `process.exit` of this process kills what carries the mark. */
export const own = (mark: string): (() => void) => Temporary.atExit(() => signal(marked(mark), "SIGKILL"))
