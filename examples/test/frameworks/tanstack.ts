/** TanStack AI: its MCP client takes a transport of SDK 1. */
import { createMCPClient } from "@tanstack/ai-mcp"
import { keepAlive } from "@vmcp-keepalive/host"
import { type Framework, text, Told } from "../support/framework.ts"

export const tanstack: Framework = {
  name: "TanStack AI",
  kept: async (options) => {
    const client = await createMCPClient({ transport: keepAlive(options) })
    const tools = await client.tools()
    return {
      call: async (name, args, { signal } = {}) => {
        const tool = tools.find((tool) => tool.name === name)
        return text(await tool?.execute?.(args, { emitCustomEvent: () => {}, ...(signal && { abortSignal: signal }) }))
      },
      told: new Told(),
      close: () => client.close()
    }
  },
  shows: "data",
  canTimeOut: false
}
