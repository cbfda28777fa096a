/**
 * A small MCP server on stdio, by hand so that it starts in a moment, that does what a script says:
 * `node scriptedStdio log [script]`.
 */
import { spawn } from "node:child_process"
import { appendFileSync, closeSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import type { Entry } from "../internal/executionLog.ts"
import { decode } from "../internal/stdioScript.ts"
import type { Grandchild } from "../internal/stdioScript.ts"
import { tools } from "./scriptedStdioTools.ts"
import type { Answer, Definition, Host } from "./scriptedStdioTools.ts"

interface Message {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly arguments?: Readonly<Record<string, unknown>>
  }
}

const [log = "/dev/null", json = "{}"] = process.argv.slice(2)
const record = (entry: Entry) => appendFileSync(log, `${JSON.stringify(entry)}\n`)
record({ started: process.pid })
const script = decode(json)

let stdoutClosed = false
/** Resolves when it has been handed to the kernel, or cannot be. */
const write = (stream: NodeJS.WriteStream, text: string) =>
  new Promise<void>((resolve) => {
    if (stream === process.stdout && stdoutClosed) resolve()
    else stream.write(text, () => resolve())
  })
/** With nothing to read; not for ever, as whoever was to kill it may have been killed. */
const stayAlive = () => setTimeout(() => process.exit(), 600_000)

const garbageText = "Loading..."
const garbageJson = '{"level":"info"}'

const flood = async (bytes: number) => {
  const numbered = (index: number) => `flood ${String(index).padStart(9, "0")} `.padEnd(79, "x")
  const lines = Math.ceil(bytes / 80)
  for (let first = 1; first <= lines; first += 800) {
    const block = Array.from({ length: Math.min(800, lines - first + 1) }, (_, index) => numbered(first + index))
    await write(process.stderr, `${block.join("\n")}\n`)
  }
  await write(process.stderr, "flood end\n")
}

const startGrandchild = (kind: Grandchild): number => {
  const child = spawn("sleep", ["600"], {
    detached: kind === "detached",
    stdio: ["ignore", "inherit", "inherit"],
    // By this it is recognised when its parent has gone.
    env: { ...process.env, VMCP_TESTKIT_LOG: log }
  })
  child.unref()
  const pid = child.pid ?? 0
  record({ grandchild: pid })
  return pid
}

/** What it was told to list. */
const lists: Record<string, ReadonlyArray<Definition>> = {}

const list: Host["list"] = async (kind, entries, times) => {
  lists[kind] = entries
  const said = `${JSON.stringify({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` })}\n`
  await write(process.stdout, said.repeat(times))
}

const host: Host = {
  flood,
  list,
  startGrandchild,
  garbage: (lines) => write(process.stdout, `${garbageText}\n`.repeat(lines)),
  closeStdin: () => {
    stayAlive()
    // Destroying a standard stream does not close its descriptor.
    process.stdin.once("close", () => closeSync(0)).destroy()
  },
  closeStdout: () => {
    stdoutClosed = true
    closeSync(1)
  }
}

const perform = async (method: string, params: NonNullable<Message["params"]>): Promise<Answer | undefined> => {
  switch (method) {
    case "initialize":
      return {
        result: {
          protocolVersion: params.protocolVersion,
          capabilities: {
            tools: {},
            ...(script.lists === true && { prompts: { listChanged: true }, resources: { listChanged: true } })
          },
          serverInfo: { name: "testkit-stdio", version: "1.0.0" }
        }
      }
    case "ping":
      return { result: {} }
    case "tools/list":
      return {
        result: {
          tools: Object.entries(tools).map(([name, { properties = {} }]) => ({
            name,
            inputSchema: { type: "object", properties },
            ...lists["tools"]?.find((definition) => definition["name"] === name)
          }))
        }
      }
    case "prompts/list":
      return { result: { prompts: lists["prompts"] ?? [] } }
    case "resources/list":
      return { result: { resources: lists["resources"] ?? [] } }
    case "tools/call": {
      const { arguments: args = {}, name = "" } = params
      record({ tool: name, arguments: args })
      const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
      return tool?.run(args, host)
    }
  }
}

const reply = async (id: string | number | null, { after, as = "$answer\n", ...outcome }: Answer) => {
  if (script.garbage === "between") await write(process.stdout, `${garbageText}\n${garbageJson}\n`)
  const prefix = script.garbage === "prefix" ? garbageText : ""
  const answer = JSON.stringify({ jsonrpc: "2.0", id, ...outcome })
  const written = as.replaceAll("$id", () => String(id)).replaceAll("$answer", () => answer)
  await write(process.stdout, `${prefix}${written}`)
  after?.()
}

const parse = (line: string): Message | undefined => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const handle = async (line: string) => {
  if (script.silent === true) return
  const message = parse(line)
  if (message === undefined) return reply(null, { error: { code: -32700, message: "Parse error" } })
  const { id, method, params = {} } = message
  if (id === undefined || method === undefined) return
  if (method === script.dieOn) process.exit(3)
  if (method === script.silentOn) return
  const answer = await perform(method, params)
  const what = method === "tools/call" ? `Unknown tool: ${params.name}` : `Method not found: ${method}`
  return reply(id, answer ?? { error: { code: method === "tools/call" ? -32602 : -32601, message: what } })
}

// Whoever read them has gone; that alone is no reason to end.
process.stdout.on("error", () => {})
process.stderr.on("error", () => {})
if (script.ignoreTerm === true) process.on("SIGTERM", () => {})
if (script.grandchild !== undefined) startGrandchild(script.grandchild)
for (const line of script.stderr ?? []) await write(process.stderr, `${line}\n`)
if (script.garbage === "start") await write(process.stdout, `${garbageText}\n${garbageJson}\n\n`)
if (script.startDelay !== undefined) await sleep(script.startDelay)
const flooding = script.stderrFlood === undefined ? undefined : flood(script.stderrFlood)
if (script.exit !== undefined) {
  await flooding
  process.exit(script.exit)
}
createInterface({ input: process.stdin })
  .on("line", (line) => void handle(line))
  .on("close", () => script.ignoreEof === true && stayAlive())
