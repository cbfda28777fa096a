/** A small MCP server on stdio, written by hand so that it starts in a moment: `node stdio log`. */
import { appendFileSync } from "node:fs"
import { createInterface } from "node:readline"

interface Message {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly arguments?: { readonly message?: string; readonly ms?: number }
  }
}

const [log = "/dev/null"] = process.argv.slice(2)
const tool = (name: string, argument: string, type: string) => ({
  name,
  inputSchema: { type: "object", properties: { [argument]: { type } } }
})
const tools = [tool("echo", "message", "string"), tool("slow", "ms", "number"), tool("fail", "message", "string")]
const text = (content: string, isError = false) => ({ content: [{ type: "text", text: content }], isError })

const call = async ({ arguments: args = {}, name }: NonNullable<Message["params"]>) => {
  appendFileSync(log, `${JSON.stringify({ tool: name, arguments: args })}\n`)
  if (name === "slow") await new Promise((resolve) => setTimeout(resolve, args.ms))
  return name === "fail" ? text("it failed", true) : text(name === "echo" ? `Echo: ${args.message}` : "done")
}

const results: Record<string, (params: NonNullable<Message["params"]>) => unknown> = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: "testkit-stdio", version: "1.0.0" }
  }),
  ping: () => ({}),
  "tools/list": () => ({ tools }),
  "tools/call": call
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, method, params = {} }: Message = JSON.parse(line)
  if (id === undefined || method === undefined) return
  const run = results[method]
  const outcome =
    run === undefined
      ? { error: { code: -32601, message: `Method not found: ${method}` } }
      : { result: await run(params) }
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...outcome })}\n`)
})
