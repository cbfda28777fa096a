/** A server of MCP 2026-07-28 as its SDK makes one, with the tool `echo {message}`; it answers clients of the earlier era, too. */
import { createMcpHandler, Server } from "@modelcontextprotocol/server"
import { byFetch, nodeListener } from "@vmcp-keepalive/host/endpoint"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const make = () => {
  const server = new Server({ name: "modern", version: "0.0.0" }, { capabilities: { tools: {} } })
  const inputSchema = { type: "object" as const, properties: { message: { type: "string" } } }
  server.setRequestHandler("tools/list", () => ({ tools: [{ name: "echo", inputSchema }] }))
  server.setRequestHandler("tools/call", ({ params }) => ({
    content: [{ type: "text", text: `Echo: ${String(params.arguments?.["message"])}` }]
  }))
  return server
}

const handler = createMcpHandler(make)
const { listener } = nodeListener(byFetch((url, init) => handler.fetch(new Request(url, init))))
const server = createServer(listener).listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ mcp: `http://127.0.0.1:${port}/mcp` }))
})
