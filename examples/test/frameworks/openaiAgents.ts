/** OpenAI Agents: an agent's run, whose model is scripted, on an object of the form `MCPServer`. */
import {
  Agent,
  MCPServerStdio,
  MCPServerStreamableHttp,
  run,
  setTracingDisabled,
  ToolCallError,
  type MCPServer
} from "@openai/agents"
import { assistantMessage, functionCall, ScriptedModel } from "@openai/agents/testing"
import { keptFetch } from "@vmcp-keepalive/host/fetch"
import { toMcpServer } from "@vmcp-keepalive/host/openai-agents"

import { type Framework, type Host, text, Told } from "../support/framework.ts"

// It would send traces to its maker.
setTracingDisabled(true)

const host = async (server: MCPServer, told = new Told(), alsoClose?: () => Promise<void>): Promise<Host> => {
  await server.connect()
  return {
    call: async (name, args, { signal } = {}) => {
      const model = new ScriptedModel([[functionCall(name, { ...args }, { callId: "1" })], [assistantMessage("done")]])
      // Without it the error becomes a sentence for the model.
      const mcpConfig = { errorFunction: null }
      const agent = new Agent({ name: "matrix", model, mcpServers: [server], mcpConfig })
      const result = await run(agent, "go", { ...(signal && { signal }) }).catch((error: unknown) => {
        throw error instanceof ToolCallError ? error.error : error
      })
      const answer = text(
        result.newItems.flatMap((item) => (item.type === "tool_call_output_item" ? [item.output] : []))
      )
      if (answer.startsWith("The MCP server")) throw new Error(answer)
      return answer
    },
    told,
    close: async () => {
      await server.close()
      await alsoClose?.()
    }
  }
}

export const openaiAgents: Framework = {
  name: "OpenAI Agents",
  bare: (server) =>
    host(
      server.kind === "http"
        ? new MCPServerStreamableHttp({ name: "server", url: server.url, cacheToolsList: true })
        : new MCPServerStdio({ name: "server", command: server.command, args: server.args, cacheToolsList: true })
    ),
  kept: (options) => host(toMcpServer({ ...options, cacheToolsList: true })),
  // The model is to read it, so that it is an answer like any other.
  shows: "text",
  canTimeOut: false
}

/** The other door: its own client of Streamable HTTP, with a `fetch` of one's own. */
export const openaiAgentsByUrl: Framework = {
  ...openaiAgents,
  name: "OpenAI Agents, URL",
  kept: (options) => {
    const kept = keptFetch(options)
    const told = new Told()
    const server = new MCPServerStreamableHttp({
      name: "server",
      url: kept.url.href,
      fetch: told.seeing(kept.fetch),
      cacheToolsList: true,
      // It gives up after 5 seconds on a server that is down at the start.
      clientSessionTimeoutSeconds: 60
    })
    return host(server, told, kept.close)
  },
  shows: "data"
}
