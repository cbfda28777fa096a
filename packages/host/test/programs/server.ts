/**
 * A server on stdio that writes what it answers to a call in one piece. Tools: `burst {count}` (so many notifications of progress
 * and then the result), `pid`.
 */
import { createInterface } from "node:readline"

interface Request {
  readonly id?: unknown
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly arguments?: { readonly count?: number }
    readonly _meta?: { readonly progressToken?: unknown }
  }
}

const write = (...messages: ReadonlyArray<object>) =>
  process.stdout.write(messages.map((message) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`).join(""))

const text = (text: string) => ({ content: [{ type: "text", text }] })

const call = (id: unknown, { arguments: args, name, _meta }: NonNullable<Request["params"]>) => {
  if (name !== "burst") return write({ id, result: text(String(process.pid)) })
  const total = args?.count ?? 0
  const progress = Array.from({ length: total }, (_, index) => ({
    method: "notifications/progress",
    params: { progressToken: _meta?.progressToken, progress: index + 1, total }
  }))
  return write(...progress, { id, result: text("done") })
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params = {} }: Request = JSON.parse(line)
  switch (method) {
    case "initialize":
      return write({
        id,
        result: {
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: "bursts", version: "1" }
        }
      })
    case "ping":
      return write({ id, result: {} })
    case "tools/list":
      return write({
        id,
        result: { tools: ["burst", "pid"].map((name) => ({ name, inputSchema: { type: "object" } })) }
      })
    case "tools/call":
      return call(id, params)
    default:
      return id === undefined ? undefined : write({ id, error: { code: -32601, message: "Method not found" } })
  }
})
