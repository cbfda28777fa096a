/** The MCP SDK 1.x. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { keepAlive } from "@vmcp-keepalive/host"
import { type Framework, type Host, text, Told } from "../support/framework.ts"
import type { Server } from "../support/stage.ts"

export const bareTransport = (server: Server): Transport =>
  server.kind === "http"
    ? // Its `sessionId` may be undefined, which its own interface does not allow under exactOptionalPropertyTypes.
      (new StreamableHTTPClientTransport(new URL(server.url)) as Transport)
    : new StdioClientTransport({ command: server.command, args: server.args, stderr: "ignore" })

/** A client that tells what it was told. */
export const connect = async (transport: Transport): Promise<{ readonly client: Client; readonly told: Told }> => {
  const told = new Told()
  const client = new Client({ name: "matrix", version: "1.0.0" })
  Object.assign(client, { onclose: told.closed, onerror: told.error })
  await client.connect(transport)
  return { client, told }
}

const host = async (transport: Transport): Promise<Host> => {
  const { client, told } = await connect(transport)
  return {
    call: async (name, args, options) =>
      text(await client.callTool({ name, arguments: { ...args } }, undefined, options)),
    told,
    close: () => client.close()
  }
}

export const sdk1: Framework = {
  name: "SDK 1",
  bare: (server) => host(bareTransport(server)),
  kept: (options) => host(keepAlive(options)),
  shows: "data",
  canTimeOut: true
}
