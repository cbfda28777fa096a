/** A kept connection is what the AI SDK takes for a transport. Compiled, not run. */
import { createMCPClient, type MCPClient, type MCPTransport } from "@ai-sdk/mcp"
import { type Kept, keepAlive } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"

export const http: MCPTransport = keepAlive({
  id: "a",
  connector: HttpPeerConnector.make({ url: "http://127.0.0.1/mcp" })
})
export const stdio: MCPTransport = keepAlive({ id: "b", connector: StdioPeerConnector.make({ command: "node" }) })
export const connect = (kept: Kept): Promise<MCPClient> => createMCPClient({ transport: kept })
