/** An MCP server with the tool `echo`: `stdio`, or `http` with its port on the first line of stdout. */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

const make = (): McpServer => {
  const server = new McpServer({ name: "echo", version: "1.0.0" })
  server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  return server
}

if (process.argv[2] === "stdio") {
  await make().connect(new StdioServerTransport())
} else {
  const sessions = new Map<string, StreamableHTTPServerTransport>()
  const server = Http.createServer((request, response) => {
    const id = request.headers["mcp-session-id"]
    const known = typeof id === "string" ? sessions.get(id) : undefined
    if (known !== undefined) return void known.handleRequest(request, response)
    if (id !== undefined) return void response.writeHead(404).end()
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void sessions.set(session, transport)
    })
    void make()
      // The SDK's own types do not fit under exactOptionalPropertyTypes.
      .connect(Object.assign(transport, { onclose: () => {} }))
      .then(() => transport.handleRequest(request, response))
  })
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
}
