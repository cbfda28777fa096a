/** What the scripted server answers to JSON-RPC requests. */
import { appendFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Listed, Reaction } from "../internal/scripted.ts"

export interface Message {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly arguments?: Readonly<Record<string, unknown>>
    readonly _meta?: { readonly progressToken?: string | number }
  }
}
export interface Session {
  /** Calls of `session_counter`. */
  calls: number
}
type Notify = (notification: unknown) => void
type Outcome = { readonly result: unknown } | { readonly error: { readonly code: number; readonly message: string } }

const schemas: Readonly<Record<string, ReadonlyArray<readonly [name: string, type: string]>>> = {
  echo: [["message", "string"]],
  slow: [["ms", "number"]],
  progress: [
    ["ms", "number"],
    ["everyMs", "number"]
  ],
  rpcError: [["code", "number"]]
}
const inputSchema = (tool: string) => ({
  type: "object",
  properties: Object.fromEntries((schemas[tool] ?? []).map(([name, type]) => [name, { type }]))
})
const text = (content: string): Outcome => ({ result: { content: [{ type: "text", text: content }] } })
const error = (code: number, message: string): Outcome => ({ error: { code, message } })

/** `declared`: what it says in the handshake to list beside its tools. */
export const make = (log: string, declared: () => ReadonlyArray<Listed>) => {
  const names = new Set(["echo", "slow", "progress", "fail", "rpcError", "session_counter"])
  /** Of tools that were added. */
  const added = new Map<string, unknown>()
  const lists: Record<Listed, ReadonlyArray<unknown>> = { prompts: [], resources: [] }

  const call = async (message: Message, session: Session, notify: Notify): Promise<Outcome> => {
    const { _meta, arguments: args = {}, name = "" } = message.params ?? {}
    if (!names.has(name)) return error(-32602, `Unknown tool: ${name}`)
    appendFileSync(log, `${JSON.stringify({ tool: name, arguments: args })}\n`)
    switch (name) {
      case "echo":
        return text(`Echo: ${args["message"]}`)
      case "slow":
        await sleep(Number(args["ms"]))
        return text("done")
      case "progress": {
        const every = Number(args["everyMs"])
        const steps = Math.floor(Number(args["ms"]) / every)
        for (let progress = 1; progress <= steps; progress++) {
          await sleep(every)
          const params = { progressToken: _meta?.progressToken, progress, total: steps }
          if (_meta?.progressToken !== undefined) notify({ jsonrpc: "2.0", method: "notifications/progress", params })
        }
        return text("done")
      }
      case "fail":
        return { result: { content: [{ type: "text", text: "it failed" }], isError: true } }
      case "rpcError":
        return error(Number(args["code"]), "as asked")
      case "session_counter":
        return text(String(++session.calls))
      default:
        return text(name)
    }
  }

  const perform = async (message: Message, session: Session, notify: Notify): Promise<Outcome> => {
    switch (message.method) {
      case "initialize":
        return {
          result: {
            protocolVersion: message.params?.protocolVersion,
            capabilities: {
              tools: { listChanged: true },
              ...Object.fromEntries(declared().map((kind) => [kind, { listChanged: true }])),
              logging: {}
            },
            serverInfo: { name: "testkit-scripted", version: "1.0.0" }
          }
        }
      case "ping":
      case "logging/setLevel":
        return { result: {} }
      case "tools/list":
        return {
          result: { tools: [...names].map((name) => ({ name, inputSchema: added.get(name) ?? inputSchema(name) })) }
        }
      case "prompts/list":
        return { result: { prompts: lists.prompts } }
      case "resources/list":
        return { result: { resources: lists.resources } }
      case "tools/call":
        return call(message, session, notify)
      default:
        return error(-32601, `Method not found: ${message.method}`)
    }
  }

  /** The text of the answer, spoilt as the reaction says. */
  const answer = async (
    message: Message,
    session: Session,
    notify: Notify,
    reaction: Reaction | undefined
  ): Promise<string> => {
    const { id } = message
    const encode = (answered: unknown, outcome: Outcome) => JSON.stringify({ jsonrpc: "2.0", id: answered, ...outcome })
    switch (reaction?._tag) {
      case "RpcError":
        return encode(id, error(reaction.code, reaction.message ?? "as scripted"))
      case "InvalidJson":
        return "{ this is no JSON"
      case "WrongId":
        return encode(`not-${id}`, await perform(message, session, notify))
      case "HugeLine":
        return encode(id, text("x".repeat(reaction.bytes)))
      default:
        return encode(id, await perform(message, session, notify))
    }
  }

  return { names, added, lists, answer }
}
