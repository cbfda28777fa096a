/** LangChain: its adapters make tools of a client of SDK 1. */
import { loadMcpTools, MultiServerMCPClient } from "@langchain/mcp-adapters"
import { keepAlive } from "@vmcp-keepalive/host"
import { type Framework, type Host, text, Told } from "../support/framework.ts"
import * as Sdk1 from "./sdk1.ts"

type Tools = Awaited<ReturnType<typeof loadMcpTools>>

const calling =
  (tools: Tools): Host["call"] =>
  async (name, args, { signal, timeout } = {}) => {
    const tool = tools.find((tool) => tool.name === name)
    if (tool === undefined) throw new Error(`No tool ${name}`)
    return text(await tool.invoke({ ...args }, { ...(signal && { signal }), ...(timeout && { timeout }) }))
  }

export const langchain: Framework = {
  name: "LangChain",
  bare: async (server) => {
    const client = new MultiServerMCPClient({
      mcpServers: {
        server:
          server.kind === "http"
            ? { url: server.url }
            : { command: server.command, args: server.args, stderr: "ignore", restart: { enabled: true } }
      }
    })
    const tools = await client.getTools()
    return { call: calling(tools), told: new Told(), close: () => client.close() }
  },
  kept: async (options) => {
    const { client, told } = await Sdk1.connect(keepAlive(options))
    const tools = await loadMcpTools("server", client)
    return { call: calling(tools), told, close: () => client.close() }
  },
  shows: "text",
  canTimeOut: true
}
