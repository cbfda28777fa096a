/** LangChain: `loadMcpTools` takes a client of the MCP SDK 1.x. */
import { HumanMessage } from "@langchain/core/messages"
import { loadMcpTools } from "@langchain/mcp-adapters"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { keepAlive } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { createAgent } from "langchain"
import { chat, url } from "./chat.ts"
import { model } from "./models/langchain.ts"

const client = new Client({ name: "my-agent", version: "1.0.0" })

// These two lines:
const kept = keepAlive({ id: "everything", connector: HttpPeerConnector.make({ url }) })
await client.connect(kept)

const tools = await loadMcpTools("everything", client)
await chat(async (line) => {
  const { messages } = await createAgent({ model: model(), tools }).invoke({ messages: [new HumanMessage(line)] })
  return messages.at(-1)?.text ?? ""
})
await client.close()
