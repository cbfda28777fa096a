/**
 * What the servers on SDK 2.x offer: `echo`, `slow`, `ask`, which asks its caller for a name first, `sample`, which has it complete a
 * text, `log`, which logs, `headed`, an argument of which is said in a header, `three`, whose result is a list, `touch`, after which
 * lists have changed, and where it can `unlisten`, which ends all subscriptions.
 */
import {
  acceptedContent,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  McpServer,
  type ServerContext
} from "@modelcontextprotocol/server"
import { appendFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import * as z from "zod"

const text = (words: string) => ({ content: [{ type: "text" as const, text: words }] })

/** The SDK compares the argument with the header `Mcp-Param-Region`. */
const inHeader = { "x-mcp-header": "Region" }
const headed = fromJsonSchema<{ readonly region: string }>({
  type: "object",
  properties: { region: { type: "string", ...inHeader } },
  required: ["region"]
})

/** How a call of `touch` tells of a change; `subscribed`: of which resources, in the legacy era. */
export type Touch = (server: McpServer, subscribed: ReadonlySet<string>) => void

/** How a server ends its subscriptions. */
export type Unlisten = "answered" | "cancelled"

/** Makes a server; what it executes is written to the log. */
export const make = (log: string, touch: Touch, unlisten?: (how: Unlisten) => Promise<void>): McpServer => {
  const executed = (tool: string, args: unknown) =>
    appendFileSync(log, `${JSON.stringify({ tool, arguments: args })}\n`)
  const ttlMs = Number(process.env["TTL"] ?? 0)
  const server = new McpServer(
    { name: "sdk2", version: "1.0.0" },
    {
      capabilities: { tools: { listChanged: true }, resources: { listChanged: true, subscribe: true }, logging: {} },
      ...(ttlMs > 0 ? { cacheHints: { "tools/list": { ttlMs, cacheScope: "private" as const } } } : {})
    }
  )
  server.registerTool(
    "echo",
    { inputSchema: z.object({ message: z.string() }), annotations: { readOnlyHint: true } },
    ({ message }) => {
      executed("echo", { message })
      return text(`Echo: ${message}`)
    }
  )
  server.registerTool("slow", { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }, context) => {
    executed("slow", { ms })
    await progress(context, ms)
    return text("done")
  })
  server.registerTool("ask", { inputSchema: z.object({ ms: z.number().optional() }) }, async ({ ms = 0 }, context) => {
    const { inputResponses } = context.mcpReq
    const given = inputResponses === undefined ? undefined : acceptedContent(inputResponses, "name")
    executed("ask", { leg: given === undefined ? 1 : 2 })
    if (given === undefined)
      return inputRequired({
        inputRequests: {
          name: inputRequired.elicit({
            message: "Your name?",
            requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] }
          })
        }
      })
    await sleep(ms)
    return text(`hello ${String(given["name"])}`)
  })
  server.registerTool("sample", { inputSchema: z.object({}) }, (_, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, "completion")
    executed("sample", { leg: given.kind === "missing" ? 1 : 2 })
    if (given.kind !== "missing") return text(`sampled ${JSON.stringify(given)}`)
    const messages = [{ role: "user" as const, content: { type: "text" as const, text: "Say something" } }]
    return inputRequired({ inputRequests: { completion: inputRequired.createMessage({ messages, maxTokens: 10 }) } })
  })
  server.registerTool(
    "log",
    { inputSchema: z.object({ level: z.enum(["debug", "info", "error"]) }) },
    async (args, context) => {
      executed("log", args)
      await context.mcpReq.log(args.level, "a line")
      return text("logged")
    }
  )
  server.registerTool("headed", { inputSchema: headed }, (args) => {
    executed("headed", args)
    return text(`in ${args.region}`)
  })
  server.registerTool("three", { inputSchema: z.object({}), outputSchema: z.array(z.number()) }, () => {
    executed("three", {})
    return { content: [], structuredContent: [1, 2, 3] }
  })
  server.registerTool("touch", { inputSchema: z.object({}) }, () => {
    executed("touch", {})
    touch(server, subscribed)
    return text("touched")
  })
  if (unlisten !== undefined)
    server.registerTool(
      "unlisten",
      { inputSchema: z.object({ how: z.enum(["answered", "cancelled"]) }) },
      async ({ how }) => {
        executed("unlisten", { how })
        await unlisten(how)
        return text("no subscription is left")
      }
    )
  const subscribed = new Set<string>()
  server.server.setRequestHandler("resources/subscribe", ({ params }) => {
    subscribed.add(params.uri)
    return {}
  })
  server.server.setRequestHandler("resources/unsubscribe", ({ params }) => {
    subscribed.delete(params.uri)
    return {}
  })
  server.registerResource("note", "note://1", { mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, text: "note" }]
  }))
  return server
}

/** Tells of progress five times a second, where the caller asks for it: as often however slow the machine is. */
const progress = async ({ mcpReq }: ServerContext, ms: number) => {
  const progressToken = mcpReq._meta?.progressToken
  const steps = Math.ceil(ms / 200)
  for (let step = 0; step < steps; step++) {
    await sleep(Math.min(200, ms - 200 * step))
    if (progressToken === undefined) continue
    await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: step } }).catch(() => {})
  }
}
