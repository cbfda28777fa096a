/** The MCP SDK 2.x. */
import { Client, StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { keepAlive } from "@vmcp-keepalive/host"
import { type Framework, type Host, text, Told } from "../support/framework.ts"

const host = async (transport: Transport): Promise<Host> => {
  const told = new Told()
  const client = new Client({ name: "matrix", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } })
  Object.assign(client, { onclose: told.closed, onerror: told.error })
  await client.connect(transport)
  return {
    call: async (name, args, options) => text(await client.callTool({ name, arguments: { ...args } }, options)),
    told,
    close: () => client.close()
  }
}

export const sdk2: Framework = {
  name: "SDK 2",
  bare: (server) =>
    host(
      server.kind === "http"
        ? new StreamableHTTPClientTransport(new URL(server.url))
        : new StdioClientTransport({ command: server.command, args: server.args, stderr: "ignore" })
    ),
  kept: (options) => host(keepAlive(options)),
  shows: "data",
  canTimeOut: true
}
