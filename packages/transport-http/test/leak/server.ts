/**
 * A server that starts in the time that Node takes: Streamable HTTP by hand, with the tools `echo` and `progress`
 * (which never ends), a session id, and a standing stream. `node server.ts <port>`; says its port when it listens.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

interface Message {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly _meta?: { readonly progressToken?: string | number }
  }
}

const session = `session-${process.pid}`

const stream = (response: Http.ServerResponse) =>
  response.writeHead(200, { "content-type": "text/event-stream", "mcp-session-id": session })
const send = (response: Http.ServerResponse, message: object) =>
  response.write(`data: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`)

const result = ({ method, params }: Message): object => {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "leak", version: "0.0.0" }
      }
    case "tools/list":
      return { tools: ["echo", "progress"].map((name) => ({ name, inputSchema: { type: "object" } })) }
    case "tools/call":
      return { content: [{ type: "text", text: "echo" }] }
    default:
      return {}
  }
}

const answer = (message: Message, response: Http.ServerResponse) => {
  if (message.id === undefined) return response.writeHead(202).end()
  stream(response)
  if (message.params?.name !== "progress") {
    send(response, { id: message.id, result: result(message) })
    return response.end()
  }
  const params = { progressToken: message.params._meta?.progressToken, progress: 1 }
  return send(response, { method: "notifications/progress", params })
}

const server = Http.createServer((request, response) => {
  const isKnown = request.headers["mcp-session-id"] === session
  if (request.method === "GET") return isKnown ? stream(response).flushHeaders() : response.writeHead(404).end()
  if (request.method !== "POST") return response.writeHead(200).end()
  let body = ""
  request.setEncoding("utf8").on("data", (text: string) => (body += text))
  request.on("end", () => {
    const message: Message = JSON.parse(body)
    if (isKnown || message.method === "initialize") answer(message, response)
    else response.writeHead(404).end()
  })
})
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const address = server.address() as AddressInfo
  process.send?.(address.port)
})
// Its parent has gone without killing it.
process.on("disconnect", () => process.exit())
