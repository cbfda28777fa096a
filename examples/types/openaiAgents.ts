/** What stands for a server in OpenAI Agents is of its interface, and `fetch` is one that its client takes. Compiled, not run. */
import { Agent, type MCPServer, MCPServerStreamableHttp } from "@openai/agents"
import type { KeptFetch } from "@vmcp-keepalive/host/fetch"
import { toMcpServer } from "@vmcp-keepalive/host/openai-agents"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"

export const server: MCPServer = toMcpServer({
  id: "a",
  connector: HttpPeerConnector.make({ url: "http://127.0.0.1/mcp" })
})
export const agent = new Agent({ name: "agent", mcpServers: [server] })
export const byUrl = ({ fetch, url }: KeptFetch): MCPServer => new MCPServerStreamableHttp({ url: url.href, fetch })
