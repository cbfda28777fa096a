/** The tools of the scripted stdio server. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Grandchild } from "../internal/stdioScript.ts"

/** An answer to a JSON-RPC request, how it is written (as a line unless that is said), and what follows once it has been. */
export type Answer = (
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
) & { readonly as?: string; readonly after?: () => void }

/** What a tool can do to the process. */
export interface Host {
  /** Writes so many bytes to stderr, as fast as they are read. */
  readonly flood: (bytes: number) => Promise<void>
  /** Writes so many lines to stdout that are no JSON-RPC. */
  readonly garbage: (lines: number) => Promise<void>
  /** Starts a sleeping process; gives its pid. */
  readonly startGrandchild: (kind: Grandchild) => number
  /**
   * From now on these are its prompts, its resources, or what it says of tools of those names; and it says so, as often as that,
   * with `list_changed`.
   */
  readonly list: (kind: string, entries: ReadonlyArray<Definition>, times: number) => Promise<void>
  readonly closeStdin: () => void
  readonly closeStdout: () => void
}

export type Definition = Readonly<Record<string, unknown>>

type Arguments = Readonly<Record<string, unknown>>
interface Tool {
  readonly properties?: Readonly<Record<string, { readonly type: "array" | "number" | "string" }>>
  readonly run: (args: Arguments, host: Host) => Answer | Promise<Answer>
}

const text = (content: string, after?: () => void): Answer => ({
  result: { content: [{ type: "text", text: content }] },
  ...(after === undefined ? {} : { after })
})
const number = (value: unknown) => Number(value ?? 0)
const isNumber = { type: "number" } as const
const isString = { type: "string" } as const
const isArray = { type: "array" } as const

export const tools: Readonly<Record<string, Tool>> = {
  echo: { properties: { message: isString }, run: ({ message }) => text(`Echo: ${message}`) },
  slow: {
    properties: { ms: isNumber },
    run: async ({ ms }) => {
      await sleep(number(ms))
      return text("done")
    }
  },
  block: {
    properties: { ms: isNumber },
    run: ({ ms }) => {
      const end = performance.now() + number(ms)
      while (performance.now() < end);
      return text("done")
    }
  },
  fail: { run: () => ({ result: { content: [{ type: "text", text: "it failed" }], isError: true } }) },
  exit: { properties: { code: isNumber }, run: ({ code }) => process.exit(number(code)) },
  answerAndExit: {
    properties: { code: isNumber },
    run: ({ code }) => text("done", () => process.exit(number(code)))
  },
  kill: {
    properties: { signal: isString },
    run: ({ signal }) => {
      process.kill(process.pid, String(signal ?? "SIGKILL"))
      return new Promise(() => {})
    }
  },
  environment: { run: () => text(JSON.stringify(process.env)) },
  pid: { run: () => text(String(process.pid)) },
  garbage: {
    properties: { lines: isNumber },
    run: async ({ lines }, host) => {
      await host.garbage(number(lines))
      return text("done")
    }
  },
  writeAs: { properties: { as: isString }, run: ({ as }) => ({ ...text("done"), as: String(as) }) },
  longLine: { properties: { bytes: isNumber }, run: ({ bytes }) => text("x".repeat(number(bytes))) },
  stderr: {
    properties: { bytes: isNumber },
    run: async ({ bytes }, host) => {
      await host.flood(number(bytes))
      return text("done")
    }
  },
  list: {
    properties: { kind: isString, entries: isArray, times: isNumber },
    run: async ({ entries, kind, times }, host) => {
      await host.list(String(kind), Array.isArray(entries) ? entries : [], number(times ?? 1))
      return text("done")
    }
  },
  closeStdin: { run: (_, { closeStdin }) => text("done", closeStdin) },
  closeStdout: { run: (_, { closeStdout }) => text("done", closeStdout) },
  spawnGrandchild: {
    properties: { kind: isString },
    run: ({ kind }, host) => text(String(host.startGrandchild(kind === "detached" ? "detached" : "group")))
  }
}
