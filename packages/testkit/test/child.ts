/** A stdio server as a test runs it: in a group of its own, with the environment that the MCP SDK hands on. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import type { Call } from "../src/McpServer.ts"
import * as ProcessGroups from "../src/ProcessGroups.ts"
import { waiters } from "./wait.ts"

export interface Message {
  readonly id?: unknown
  readonly result?: { readonly content?: ReadonlyArray<{ readonly text: string }>; readonly isError?: boolean }
  readonly error?: { readonly code: number; readonly message: string }
}

export interface Child {
  /** Also its group. */
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  readonly send: (text: string) => void
  readonly rpc: (method: string, params?: unknown) => Effect.Effect<Message>
  readonly initialize: Effect.Effect<Message>
  readonly call: (call: Call) => Effect.Effect<Message>
  /** The text of the answer to a tool call. */
  readonly text: (name: string, args?: Record<string, unknown>) => Effect.Effect<string>
  readonly endInput: () => void
  /** Reads stderr from now on, if it was not read. */
  readonly readStderr: () => void
  readonly stderrUntil: (fragment: string) => Effect.Effect<string>
  readonly exited: Effect.Effect<number | NodeJS.Signals>
  readonly stdoutEnded: Effect.Effect<boolean>
  /** The code of the error that writing to it met. */
  readonly inputError: Effect.Effect<string>
}

export const environment = (): Record<string, string> =>
  Object.fromEntries(
    ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"].flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
  )

const handshake = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "testkit", version: "1" } }

/** The JSON-RPC message on a line, also behind text that does not belong there. */
const parse = (line: string): Message | undefined => {
  try {
    return JSON.parse(line.slice(Math.max(line.indexOf("{"), 0)))
  } catch {
    return undefined
  }
}

/** Starts it; with the scope every process of its group ends. */
export const start = (
  server: { readonly command: string; readonly args: ReadonlyArray<string> },
  reading: "read" | "unread" = "read"
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(server.command, server.args, { cwd: "/", detached: true, env: environment() })
        const { notify, wait } = waiters()
        let exit: number | NodeJS.Signals | undefined
        child.on("exit", (code, signal) => {
          exit = code ?? signal ?? undefined
          notify()
        })
        return { child, notify, wait, exited: wait(() => exit) }
      }),
      ({ child, exited }) =>
        Effect.suspend(() => {
          ProcessGroups.signal(-(child.pid ?? 0), "SIGKILL")
          for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
          return exited
        })
    ),
    ({ child, exited, notify, wait }) => {
      let stdout = ""
      let rest = ""
      let stderr = ""
      let ended = false
      let inputError: string | undefined
      let ids = 0
      const answers = new Map<unknown, Message>()
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text
        const lines = (rest + text).split("\n")
        rest = lines.pop() ?? ""
        for (const message of lines.map(parse)) if (message !== undefined) answers.set(message.id, message)
        notify()
      })
      child.stdout.on("end", () => {
        ended = true
        notify()
      })
      child.stdin.on("error", (error) => {
        inputError ??= "code" in error ? String(error.code) : error.message
        notify()
      })
      const readStderr = () =>
        void child.stderr.setEncoding("utf8").on("data", (text: string) => {
          stderr += text
          notify()
        })
      if (reading === "read") readStderr()

      const send = (text: string) => void child.stdin.write(text)
      const rpc = (method: string, params: unknown = {}) =>
        Effect.suspend(() => {
          const id = ++ids
          send(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`)
          return wait(() => answers.get(id))
        })
      const call = (called: Call) => rpc("tools/call", called)
      return {
        pid: child.pid ?? 0,
        stdout: () => stdout,
        stderr: () => stderr,
        send,
        rpc,
        initialize: Effect.tap(rpc("initialize", handshake), () =>
          Effect.sync(() => send('{"jsonrpc":"2.0","method":"notifications/initialized"}\n'))
        ),
        call,
        text: (name, args = {}) =>
          Effect.map(call({ name, arguments: args }), ({ result }) => result?.content?.[0]?.text ?? ""),
        endInput: () => void child.stdin.end(),
        readStderr,
        stderrUntil: (fragment) => wait(() => (stderr.includes(fragment) ? stderr : undefined)),
        exited,
        stdoutEnded: wait(() => ended || undefined),
        inputError: wait(() => inputError)
      }
    }
  )
