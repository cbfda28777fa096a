/** The AI SDK: its MCP client takes an object in the form of its own transport. */
import { createMCPClient, type MCPClientConfig } from "@ai-sdk/mcp"
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio"
import { keepAlive } from "@vmcp-keepalive/host"
import { type Framework, type Host, text, textOf, Told } from "../support/framework.ts"

/** It has no word for notifications: each one, also a good server's, is an error to it. */
const notification = "Unsupported message type"

const host = async (transport: MCPClientConfig["transport"]): Promise<Host> => {
  const told = new Told()
  const client = await createMCPClient({
    transport,
    onUncaughtError: (error) => {
      if (textOf(error) !== notification) told.error(error)
    }
  })
  const tools = await client.tools()
  return {
    call: async (name, args, { signal, timeout } = {}) => {
      if (timeout !== undefined)
        return text(await client.callTool({ name, arguments: { ...args }, options: { timeout } }))
      const abort = signal === undefined ? {} : { abortSignal: signal }
      const tool = tools[name]
      if (tool === undefined) throw new Error(`No tool ${name}`)
      return text(await tool.execute(args, { toolCallId: "1", messages: [], context: undefined, ...abort }))
    },
    told,
    close: () => client.close()
  }
}

export const aiSdk: Framework = {
  name: "AI SDK",
  bare: (server) =>
    host(
      server.kind === "http"
        ? { type: "http", url: server.url }
        : new StdioTransport({ command: server.command, args: server.args, stderr: "ignore" })
    ),
  kept: (options) => host(keepAlive(options)),
  shows: "data",
  canTimeOut: true
}
