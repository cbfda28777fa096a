/** A kept connection is what the MCP SDK 1.x takes for a transport. Compiled, not run. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { type Kept, keepAlive } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"

export const http: Transport = keepAlive({
  id: "a",
  connector: HttpPeerConnector.make({ url: "http://127.0.0.1/mcp" })
})
export const stdio: Transport = keepAlive({ id: "b", connector: StdioPeerConnector.make({ command: "node" }) })
export const connect = (client: Client, kept: Kept): Promise<void> => client.connect(kept)
