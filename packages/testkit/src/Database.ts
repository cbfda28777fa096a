/** A Postgres from npm alone: a process of its own, which others reach over a socket on the loopback. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import * as Programs from "./internal/programs.ts"
import * as Ports from "./Ports.ts"

export interface Database {
  readonly port: number
  readonly pid: number
  /** with user, password and database */
  readonly url: string
}

/** The program of it, to be forked: its arguments are a port and, where what is in it is to outlive it, a folder. It says "ready" over IPC. */
export const program: string = Programs.script("pglite")

/** Starts one that is empty, on a port that was free; it is gone with the scope. */
export const make: Effect.Effect<Database, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* Ports.free
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(program, [String(port)], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] })),
    (child) => Effect.promise(() => killed(child))
  )
  yield* Effect.promise(() => Promise.race([once(child, "message"), endsBefore(child)]))
  return { port, pid: child.pid ?? 0, url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres` }
})

const endsBefore = async (child: ChildProcess): Promise<never> => {
  await once(child, "exit")
  throw new Error("the database ended before it was ready")
}

/** Also one that is frozen. */
const killed = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill("SIGKILL")
  await exit
}
