/** Mastra: a URL, with a `fetch` of one's own. */
import { noopLogger } from "@mastra/core/logger"
import { noopObserve } from "@mastra/core/tools"
import { MCPClient, type MastraMCPServerDefinition } from "@mastra/mcp"

import { keptFetch } from "@vmcp-keepalive/host/fetch"
import { randomUUID } from "node:crypto"
import { type Framework, type Host, text, Told } from "../support/framework.ts"

const host = async (
  server: MastraMCPServerDefinition,
  told = new Told(),
  alsoClose?: () => Promise<void>
): Promise<Host> => {
  const client = new MCPClient({
    id: randomUUID(),
    servers: {
      server: {
        ...server,
        logger: ({ level, message }) => {
          if (message.includes("connection closed")) told.closed()
          else if (level === "error" && !message.includes("Error calling tool")) told.error(message)
        }
      }
    }
  })
  client.__setLogger(noopLogger)
  const tools = await client.listTools()
  return {
    call: async (name, args, { signal } = {}) => {
      // It lists no tools of a server that it cannot reach, and says so in its log only.
      const execute = tools[`server_${name}`]?.execute
      if (execute === undefined) throw new Error(`No tool ${name}`)
      return text(await execute(args, { observe: noopObserve, ...(signal && { abortSignal: signal }) }))
    },
    told,
    close: async () => {
      await client.disconnect()
      await alsoClose?.()
    }
  }
}

export const mastra: Framework = {
  name: "Mastra",
  bare: (server) =>
    host(
      server.kind === "http"
        ? { url: new URL(server.url), connectTimeout: 60_000 }
        : { command: server.command, args: server.args, stderr: "ignore" }
    ),
  kept: (options) => {
    const kept = keptFetch(options)
    const told = new Told()
    return host({ url: kept.url, fetch: told.seeing(kept.fetch), connectTimeout: 60_000 }, told, kept.close)
  },
  shows: "data",
  canTimeOut: false
}
