/** A server that a row of the matrix plays with, the same over HTTP and stdio, where each client has a process of its own. */
import { type McpServer, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** How a client reaches it. */
export type Server =
  | { readonly kind: "http"; readonly url: string }
  | { readonly kind: "stdio"; readonly command: string; readonly args: Array<string> }

export type Wire = Server["kind"]

export interface Stage {
  readonly server: Server
  /** It dies by SIGKILL, and does not run again before `start`. */
  readonly stop: Effect.Effect<void>
  /** It runs again: over HTTP at once, over stdio when a client starts it. */
  readonly start: Effect.Effect<void>
  /** SIGSTOP: nothing is answered, and nothing is closed. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** It lives, and has forgotten its sessions. */
  readonly forget: Effect.Effect<void>
  /** What it has executed, over all its lives. */
  readonly executions: Effect.Effect<ReadonlyArray<McpServer.Execution>>
  /** Waits until it has begun to execute the tool so many times. */
  readonly executing: (tool: string, times: number) => Effect.Effect<void>
  /** How many sessions were begun with it: handshakes over HTTP, processes over stdio. */
  readonly sessions: Effect.Effect<number>
}

const soon = Schedule.spaced("10 millis")

/** Of a session id that it does not know. */
export type StaleSession = 400 | 404

const http = (staleSession: StaleSession): Effect.Effect<Stage, unknown, Scope.Scope> =>
  Effect.map(ScriptedServer.make({ staleSession }), (server) => ({
    server: { kind: "http", url: server.url },
    stop: server.kill,
    start: Effect.orDie(server.start),
    freeze: server.freeze,
    thaw: server.thaw,
    forget: server.control(ScriptedServer.Control.ExpireSessions()),
    ...executed(server.executions),
    sessions: Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["initialize"] ?? 0)
  }))

const stdio: Effect.Effect<Stage, never, Scope.Scope> = Effect.gen(function* () {
  const server = yield* StdioServers.scripted()
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-stage-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const mayRun = join(folder, "may-run")
  const start = Effect.sync(() => writeFileSync(mayRun, ""))
  yield* start
  const living = Effect.map(server.pids, (pids) => pids.filter(isAlive))
  const signal = (name: NodeJS.Signals) =>
    Effect.map(living, (pids) => {
      for (const pid of pids) process.kill(pid, name)
    })
  const stop = Effect.gen(function* () {
    rmSync(mayRun, { force: true })
    // One that was just starting may have looked before.
    yield* Effect.repeat(Effect.andThen(signal("SIGKILL"), living), {
      schedule: soon,
      until: (pids) => pids.length === 0
    })
  })
  // The server of a client that hangs has nobody else to end it.
  yield* Effect.addFinalizer(() => signal("SIGKILL"))
  return {
    server: {
      kind: "stdio",
      command: "sh",
      args: ["-c", 'test -e "$0" && exec "$@"', mayRun, server.command, ...server.args]
    },
    stop,
    start,
    freeze: signal("SIGSTOP"),
    thaw: signal("SIGCONT"),
    forget: Effect.die("There are no sessions to forget over stdio"),
    ...executed(server.executions),
    sessions: server.starts
  }
})

const executed = (executions: Stage["executions"]): Pick<Stage, "executions" | "executing"> => ({
  executions,
  executing: (tool, times) =>
    Effect.asVoid(
      Effect.repeat(executions, {
        schedule: soon,
        until: (all) => all.filter((execution) => execution.tool === tool).length >= times
      })
    )
})

/** Until its parent has read how it ended, a process that was killed has a number still, but no command. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return existsSync(`/proc/${pid}/exe`)
}

export const make = (wire: Wire, staleSession: StaleSession = 404): Effect.Effect<Stage, unknown, Scope.Scope> =>
  wire === "http" ? http(staleSession) : stdio
