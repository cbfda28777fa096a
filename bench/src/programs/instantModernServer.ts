/**
 * A server of MCP 2026-07-28 with the tool `echo {message}` that does next to nothing, so that what stands before it shows: it knows
 * `server/discover` and calls, and checks no more than it must to answer them.
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

interface Question {
  readonly id?: string | number
  readonly method: string
  readonly params?: { readonly arguments?: { readonly message?: string } }
}

const results: Readonly<Record<string, (question: Question) => object>> = {
  "server/discover": () => ({
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
    ttlMs: 0,
    cacheScope: "private"
  }),
  "tools/call": ({ params }) => ({ content: [{ type: "text", text: `Echo: ${params?.arguments?.message}` }] })
}

const about = {
  resultType: "complete",
  _meta: { "io.modelcontextprotocol/serverInfo": { name: "instant", version: "0.0.0" } }
}

const answer = (question: Question, response: ServerResponse) => {
  const { id, method } = question
  const result = results[method]?.(question)
  const message =
    result === undefined
      ? { jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } }
      : { jsonrpc: "2.0", id, result: { ...result, ...about } }
  response
    .writeHead(result === undefined ? 404 : 200, { "content-type": "application/json" })
    .end(JSON.stringify(message))
}

const server = createServer((request, response) => {
  if (request.method !== "POST") return void response.writeHead(405, { allow: "POST" }).end()
  let body = ""
  request.setEncoding("utf8").on("data", (text: string) => (body += text))
  request.on("end", () => answer(JSON.parse(body), response))
}).listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ mcp: `http://127.0.0.1:${port}/mcp` }))
})
