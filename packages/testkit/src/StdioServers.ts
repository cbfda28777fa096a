/**
 * MCP servers over stdio, as commands for the code under test to start. The testkit starts and ends none of them: what
 * is left of one is for `Leftovers` to find, which recognises it whatever its environment, group and parent are.
 * Everything comes through arguments, so any environment with a PATH will do.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Calls from "./internal/calls.ts"
import * as ExecutionLog from "./internal/executionLog.ts"
import * as Programs from "./internal/programs.ts"
import type { Script } from "./internal/stdioScript.ts"
import * as Temporary from "./internal/temporary.ts"
import type { Call, Execution, ServerOfAnEra } from "./McpServer.ts"

export type { Script } from "./internal/stdioScript.ts"

export interface StdioServer {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** How often it was started. */
  readonly starts: Effect.Effect<number>
  /** Of the processes that ran it, over all its lives. */
  readonly pids: Effect.Effect<ReadonlyArray<number>>
  /** What it executed, over all its lives, in order. */
  readonly executions: Effect.Effect<ReadonlyArray<Execution>>
  /** A call that answers at once, changes nothing, and whose answer contains the message. */
  readonly echo: (message: string) => Call
}

/** One that can also take its time. */
export interface SlowStdioServer extends StdioServer {
  /** A call that answers after so many seconds; pings are answered meanwhile. */
  readonly slow: (seconds: number) => Call
}

export interface ScriptedStdioServer extends SlowStdioServer {
  /** Pids of the sleeping processes that it started, over all its lives. Whoever wants them dead must kill them. */
  readonly grandchildren: Effect.Effect<ReadonlyArray<number>>
}

/** A server of one era of MCP, or of both, that can become another when it is started the next time. */
export interface StdioServerOfAnEra extends SlowStdioServer {
  /** What it is from its next start on. */
  readonly become: (program: Sdk2Program) => Effect.Effect<void>
}

/** What a server on SDK 2.x is. */
export interface Sdk2Program {
  readonly era: ServerOfAnEra["era"]
  /** For so many milliseconds it does nothing; what it was sent meanwhile it reads then. */
  readonly startDelay?: number
  /** How many subscriptions it has room for; default: that of the SDK, 1,024. */
  readonly maxSubscriptions?: number
}

type Described<Server extends StdioServer = StdioServer> = Effect.Effect<Server, never, Scope.Scope>

const describe = (
  name: string,
  log: string,
  args: ReadonlyArray<string>,
  echo: StdioServer["echo"] = Calls.echo
): StdioServer => ({
  name,
  command: process.execPath,
  args,
  starts: Effect.sync(() => ExecutionLog.starts(log).length),
  pids: Effect.sync(() => ExecutionLog.starts(log)),
  executions: Effect.sync(() => ExecutionLog.executions(log)),
  echo
})
const logIn = (directory: string) => join(directory, "executions.jsonl")

/** The reference server, @modelcontextprotocol/server-everything, on SDK 1.x. */
export const everything: Described<SlowStdioServer> = Effect.map(Temporary.directory, (directory) => {
  const log = logIn(directory)
  return { ...describe("everything", log, Programs.everything(log, "stdio")), slow: Calls.longOperation }
})

/**
 * The same as it is mostly configured: `npx` with the name of the installed package's command. It needs no network.
 * The command becomes three processes in one group: npm, a shell, the server.
 */
export const everythingThroughNpx: Described<SlowStdioServer> = Effect.map(Temporary.directory, (directory) => {
  const log = logIn(directory)
  const args = [
    "--offline",
    "--logs-max=0",
    `--prefix=${Programs.home}`,
    `--node-options=${Programs.logging(log)}`,
    "mcp-server-everything",
    "stdio"
  ]
  return { ...describe("everything, npx", log, args), command: "npx", slow: Calls.longOperation }
})

/**
 * @modelcontextprotocol/server-filesystem on a directory of its own. `echo` lays the message into a file there; the
 * call reads that file.
 */
export const filesystem: Described = Effect.map(Temporary.directory, (directory) => {
  const log = logIn(directory)
  const files = join(directory, "files")
  mkdirSync(files)
  const args = [
    Programs.logging(log),
    Programs.packageFile("@modelcontextprotocol/server-filesystem", "dist/index.js"),
    files
  ]
  return describe("filesystem", log, args, (message) => {
    const path = join(files, createHash("sha256").update(message).digest("hex"))
    writeFileSync(path, message)
    return { name: "read_text_file", arguments: { path } }
  })
})

/**
 * @modelcontextprotocol/server-memory with a graph of its own. `echo` lays an entity with the message as its name into
 * the graph's file; the call looks that up. The answer is JSON and has the message escaped.
 */
export const memory: Described = Effect.map(Temporary.directory, (directory) => {
  const log = logIn(directory)
  const graph = join(directory, "memory.jsonl")
  // It takes the path from its environment only, and `env` becomes what it starts.
  const args = [
    `MEMORY_FILE_PATH=${graph}`,
    process.execPath,
    Programs.logging(log),
    Programs.packageFile("@modelcontextprotocol/server-memory", "dist/index.js")
  ]
  const known = new Set<string>()
  const echo = (message: string) => {
    const entity = { type: "entity", name: message, entityType: "message", observations: [] }
    // What it saved itself does not end with a newline.
    if (!known.has(message)) appendFileSync(graph, `\n${JSON.stringify(entity)}\n`)
    known.add(message)
    return { name: "open_nodes", arguments: { names: [message] } }
  }
  return { ...describe("memory", log, args, echo), command: "env" }
})

/**
 * A server of ours that starts in a moment and does what the script says; with an empty one, what a good server does.
 *
 * Tools: `echo {message}`, `slow {ms}` (others are answered meanwhile), `block {ms}` (nothing is), `fail` (an error
 * result), `exit {code}` (without an answer), `answerAndExit {code}` (at once when the answer is out), `kill {signal}`
 * (itself, without an answer, default SIGKILL), `environment` (as JSON), `pid`, `garbage {lines}` (that are no
 * JSON-RPC, then the answer), `writeAs {as}` (that text instead of the line of the answer, with `$id` and `$answer` of
 * the call in it), `longLine {bytes}` (a text of so many), `stderr {bytes}` (as `stderrFlood`, then the answer),
 * `list {kind, entries, times}` (these are its `prompts`, its `resources`, or what it says of `tools` of those names; then
 * `list_changed` so often, default once, and the answer),
 * `closeStdin` (after the answer; lives on for ten minutes), `closeStdout` (after the answer; lives on until its input
 * ends), `spawnGrandchild {kind}` (as `grandchild`, default `group`; answers its pid).
 */
export const scripted = (script: Script = {}): Described<ScriptedStdioServer> =>
  Effect.map(Temporary.directory, (directory) => {
    const log = logIn(directory)
    return {
      ...describe("scripted", log, [Programs.script("scriptedStdio"), log, JSON.stringify(script)]),
      slow: Calls.slow,
      grandchildren: Effect.sync(() => ExecutionLog.grandchildren(log))
    }
  })

/** A server on SDK 2.x, of MCP 2026-07-28, of what came before, or of both: its SDK decides by what it is asked first. */
export const sdk2 = (program: Sdk2Program): Described<StdioServerOfAnEra> =>
  Effect.map(Temporary.directory, (directory) => {
    const log = logIn(directory)
    const file = join(directory, "program.json")
    const become = (next: Sdk2Program) => writeFileSync(file, JSON.stringify(next))
    become(program)
    return {
      ...describe(`sdk2, ${program.era}`, log, [Programs.script("sdk2Stdio"), log, file]),
      slow: Calls.slow,
      become: (next) => Effect.sync(() => become(next))
    }
  })

/** The same server behind a shell that stays its parent, and ends after it with code 0 however it ended. */
export const throughShell = <Server extends StdioServer>(server: Server): Server => ({
  ...server,
  name: `${server.name}, sh`,
  command: "sh",
  args: ["-c", `${[server.command, ...server.args].map(Programs.quoted).join(" ")}; true`]
})
