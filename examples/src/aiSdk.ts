/** The AI SDK: `createMCPClient` takes a transport. */
import { createMCPClient } from "@ai-sdk/mcp"
import { keepAlive } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { generateText, isStepCount } from "ai"
import { chat, url } from "./chat.ts"
import { model } from "./models/aiSdk.ts"

// These two lines:
const kept = keepAlive({ id: "everything", connector: HttpPeerConnector.make({ url }) })
const client = await createMCPClient({ transport: kept })

const tools = await client.tools()
await chat(async (prompt) => {
  const { text } = await generateText({ model, tools, prompt, stopWhen: isStepCount(5) })
  return text
})
await client.close()
