/** What ends the program: a signal, or that nobody is there any more who started it or reads what it prints. */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect, Schedule } from "effect"
import { readFileSync } from "node:fs"

/**
 * When this process has ended after it was asked, in milliseconds: whoever waits for it waits two seconds, of which a busy machine takes
 * some.
 */
const deadline = 1_500

/** How it ends where that is not done in time: nothing that it has started lives on. */
const atLast = (): void => {
  for (const { pid } of ProcessGroups.children()) ProcessGroups.signal(-pid, "SIGKILL")
  process.exit(process.exitCode ?? interrupted)
}

/** As a shell has it for SIGINT. */
const interrupted = 130

/**
 * Succeeds on SIGINT, SIGTERM and SIGHUP, and when the output is closed or one of those who started this process has ended. Its listeners
 * stay: each of these events would otherwise end the process while it cleans up, which takes two seconds at most.
 */
export const asked: Effect.Effect<void> = Effect.suspend(() => {
  const before = ancestors()
  const orphaned = Effect.sync(() => ancestors() !== before).pipe(
    Effect.repeat({ schedule: Schedule.spaced("500 millis"), until: (gone) => gone }),
    Effect.asVoid
  )
  return Effect.andThen(
    Effect.raceFirst(orphaned, told),
    Effect.sync(() => void setTimeout(atLast, deadline).unref())
  )
})

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

const told = Effect.callback<void>((resume) => {
  const done = () => resume(Effect.void)
  for (const signal of signals) process.on(signal, done)
  for (const stream of [process.stdout, process.stderr]) stream.on("error", done)
})

/**
 * The pids from the parent up. Between npx and this program there are pnpm and two shells, and the end of one of them
 * does not end the others. Where there is no /proc, it is the parent alone.
 */
const ancestors = (): string => {
  const pids: Array<number> = []
  for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) pids.push(pid)
  return pids.join(" ")
}

const parentOf = (pid: number): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The command is in parentheses and may itself contain some.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])
  } catch {
    return 0
  }
}
