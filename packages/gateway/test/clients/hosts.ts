/** Real clients, each with as much of itself as the scenario needs. */
import { createMCPClient, ElicitationRequestSchema } from "@ai-sdk/mcp"
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, onTestFinished } from "vitest"

export interface Result {
  readonly isError: boolean
  readonly content: unknown
}

export interface Host {
  readonly call: (name: string, args: Record<string, unknown>) => Promise<Result>
  readonly tools: () => Promise<ReadonlyArray<string>>
  /** where it has one: one process a command has none, and neither has the modern era */
  readonly sessionId: (() => string | undefined) | undefined
  /** calls a tool that asks the client something, where it answers servers at all; how often it was asked */
  readonly asked: (() => Promise<number>) | undefined
  /** what a long call tells meanwhile, where the client tells its user */
  readonly progress: (() => Promise<ReadonlyArray<number>>) | undefined
}

const resultOf = ({ content, isError }: { readonly [field: string]: unknown }): Result => ({
  isError: isError === true,
  content
})

const namesOf = ({ tools }: { readonly tools: ReadonlyArray<{ readonly name: string }> }) =>
  tools.map(({ name }) => name)

const long = { name: "web__trigger-long-running-operation", arguments: { duration: 0.4, steps: 4 } }
const sampling = { name: "web__trigger-sampling-request", arguments: { prompt: "x" } }
const sampled = { role: "assistant" as const, model: "m", content: { type: "text" as const, text: "sampled" } }

/** The tool has got what the client has answered. */
const tells = ({ content }: { readonly [field: string]: unknown }, answer: string) =>
  assert.include(JSON.stringify(content), answer)

export const sdk1 = async (mcp: string): Promise<Host> => {
  const client = new Client({ name: "sdk1", version: "1" }, { capabilities: { sampling: {} } })
  let times = 0
  client.setRequestHandler(CreateMessageRequestSchema, () => {
    times++
    return sampled
  })
  const transport = new StreamableHTTPClientTransport(new URL(mcp))
  await client.connect(transport as Transport)
  onTestFinished(() => client.close())
  return {
    call: async (name, args) => resultOf(await client.callTool({ name, arguments: args })),
    tools: async () => namesOf(await client.listTools()),
    sessionId: () => transport.sessionId,
    asked: async () => {
      tells(await client.callTool(sampling), "sampled")
      return times
    },
    progress: async () => {
      const steps: Array<number> = []
      await client.callTool(long, undefined, { onprogress: ({ progress }) => void steps.push(progress) })
      return steps
    }
  }
}

/** In the modern era. */
export const sdk2 = async (mcp: string): Promise<Host> => {
  const client = new ModernClient({ name: "sdk2", version: "1" }, { capabilities: { sampling: {} } })
  let times = 0
  client.setRequestHandler("sampling/createMessage", () => {
    times++
    return sampled
  })
  client.setVersionNegotiation({ mode: "auto" })
  await client.connect(new ModernTransport(new URL(mcp)))
  assert.strictEqual(client.getProtocolEra(), "modern")
  onTestFinished(() => client.close())
  return {
    call: async (name, args) => resultOf(await client.callTool({ name, arguments: args })),
    tools: async () => namesOf(await client.listTools(undefined, { cacheMode: "bypass" })),
    sessionId: undefined,
    asked: async () => {
      tells(await client.callTool(sampling), "sampled")
      return times
    },
    progress: async () => {
      const steps: Array<number> = []
      await client.callTool(long, { onprogress: ({ progress }) => void steps.push(progress) })
      return steps
    }
  }
}

/** Answers elicitation, and does not sample. It would speak the modern era too, where it would have no session to hold. */
export const aiSdk = async (mcp: string): Promise<Host> => {
  let session: string | undefined
  const client = await createMCPClient({
    transport: {
      type: "http",
      url: mcp,
      initialProtocolVersion: "2025-11-25",
      onSessionIdChange: (id) => (session = id)
    },
    protocolVersionDiscovery: false,
    capabilities: { elicitation: { form: {} } },
    // it takes notifications for errors
    onUncaughtError: () => {}
  })
  onTestFinished(() => client.close())
  let times = 0
  client.onElicitationRequest(ElicitationRequestSchema, () => {
    times++
    return { action: "accept", content: { name: "elicited" } }
  })
  return {
    call: async (name, args) => resultOf(await client.callTool({ name, arguments: args })),
    tools: async () => namesOf(await client.listTools()),
    sessionId: () => session,
    asked: async () => {
      tells(await client.callTool({ name: "web__trigger-elicitation-request", arguments: {} }), "elicited")
      return times
    },
    progress: undefined
  }
}

const inspectorBin = fileURLToPath(new URL("../../node_modules/.bin/mcp-inspector", import.meta.url))

/** The inspector's command line: one process, and one session, a command. */
export const inspector = (mcp: string): Promise<Host> => {
  const ask = (...method: ReadonlyArray<string>) =>
    new Promise<string>((resolve, reject) => {
      execFile(inspectorBin, ["--cli", mcp, "--transport", "http", "--method", ...method], (error, stdout, stderr) => {
        // exit code 1 also where a tool has answered that it failed
        if (error !== null && stdout === "") reject(new Error(stderr))
        else resolve(stdout)
      })
    })
  return Promise.resolve({
    call: async (name, args) => {
      const given = Object.entries(args).flatMap(([key, value]) => ["--tool-arg", `${key}=${String(value)}`])
      return resultOf(JSON.parse(await ask("tools/call", "--tool-name", name, ...given)))
    },
    tools: async () => namesOf(JSON.parse(await ask("tools/list"))),
    sessionId: undefined,
    asked: undefined,
    progress: undefined
  })
}
