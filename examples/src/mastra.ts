/** Mastra: a server is a URL, with a `fetch` of one's own. */
import { Agent } from "@mastra/core/agent"
import { MCPClient } from "@mastra/mcp"
import { keptFetch } from "@vmcp-keepalive/host/fetch"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { chat, url } from "./chat.ts"
import { model } from "./models/mastra.ts"

// These two lines. (`connectTimeout`: it would give up after 3 seconds on a server that is down at the start.)
const kept = keptFetch({ id: "everything", connector: HttpPeerConnector.make({ url }) })
const client = new MCPClient({ servers: { everything: { url: kept.url, fetch: kept.fetch, connectTimeout: 60_000 } } })

const agent = new Agent({
  id: "my-agent",
  name: "My agent",
  instructions: "Be brief.",
  model,
  tools: await client.listTools()
})
await chat(async (line) => {
  const { text } = await agent.generate(line)
  return text
})
await client.disconnect()
await kept.close()
