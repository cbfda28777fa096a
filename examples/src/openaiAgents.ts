/** OpenAI Agents: an agent's `mcpServers` are objects of the interface `MCPServer`. */
import { Agent, run, setTracingDisabled } from "@openai/agents"
import { toMcpServer } from "@vmcp-keepalive/host/openai-agents"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { chat, url } from "./chat.ts"
import { model } from "./models/openaiAgents.ts"

// There is no network here.
setTracingDisabled(true)

// These two lines:
const server = toMcpServer({ id: "everything", connector: HttpPeerConnector.make({ url }) })
await server.connect()

await chat(async (line) => {
  const agent = new Agent({ name: "My agent", model: model(line), mcpServers: [server] })
  const { finalOutput } = await run(agent, line)
  return String(finalOutput)
})
await server.close()
