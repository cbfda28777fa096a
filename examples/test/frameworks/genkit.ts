/** Genkit: a server's configuration takes a transport of SDK 1. */
import { createMcpClient } from "@genkit-ai/mcp"
import { keepAlive } from "@vmcp-keepalive/host"
import { genkit as makeGenkit } from "genkit"
import { type Framework, text, Told } from "../support/framework.ts"

export const genkit: Framework = {
  name: "Genkit",
  kept: async (options) => {
    const ai = makeGenkit({})
    const client = createMcpClient({
      name: "matrix",
      serverName: "server",
      mcpServer: { transport: keepAlive(options) }
    })
    await client.ready()
    const tools = await client.getActiveTools(ai)
    return {
      call: async (name, args) => {
        const tool = tools.find((tool) => tool.__action.name.endsWith(`/${name}`))
        return text(await tool?.(args))
      },
      told: new Told(),
      close: () => client.disable()
    }
  },
  shows: "data",
  canCancel: false,
  canTimeOut: false
}
