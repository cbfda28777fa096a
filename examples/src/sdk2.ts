/** The MCP SDK 2.x: `connect` takes a transport. */
import { Client } from "@modelcontextprotocol/client"
import { keepAlive } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { chat, url } from "./chat.ts"

const client = new Client({ name: "my-agent", version: "1.0.0" })

// These two lines:
const kept = keepAlive({ id: "everything", connector: HttpPeerConnector.make({ url }) })
await client.connect(kept)

await chat(async (message) => {
  const { content } = await client.callTool({ name: "echo", arguments: { message } })
  const [first] = content
  return first?.type === "text" ? first.text : ""
})
await client.close()
