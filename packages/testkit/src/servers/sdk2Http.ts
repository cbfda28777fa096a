/**
 * A server on SDK 2.x over HTTP: `node sdk2Http port log era`. `modern`: MCP 2026-07-28 alone; `legacy`: what came before alone, with
 * sessions; `dual`: both behind one URL, without sessions. `COMMENTS`: the milliseconds between the comments on its streams; `SUBSCRIPTIONS`: how many it has room for.
 */
import { createMcpHandler, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server"
import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type { ReadableStream } from "node:stream/web"
import * as Tools from "./sdk2Tools.ts"

const [port = "0", log = "/dev/null", era = "dual"] = process.argv.slice(2)
const comments = process.env["COMMENTS"]
const subscriptions = process.env["SUBSCRIPTIONS"]

type Answering = (request: Request) => Promise<Response>

const both = (legacy: "reject" | "stateless"): Answering => {
  const make = () =>
    Tools.make(log, (server) => {
      server.sendToolListChanged()
      handler.notify.toolsChanged()
      handler.notify.resourceUpdated("note://1")
    })
  const handler = createMcpHandler(make, {
    legacy,
    ...(comments === undefined ? {} : { keepAliveMs: Number(comments) }),
    ...(subscriptions === undefined ? {} : { maxSubscriptions: Number(subscriptions) })
  })
  process.once(
    "SIGTERM",
    () =>
      void handler.close().then(
        () => server.close(),
        () => {}
      )
  )
  return (request) => handler.fetch(request)
}

const sessions = (): Answering => {
  const transports = new Map<string, WebStandardStreamableHTTPServerTransport>()
  return async (request) => {
    const id = request.headers.get("mcp-session-id")
    const known = id === null ? undefined : transports.get(id)
    if (known !== undefined) return known.handleRequest(request)
    if (id !== null) {
      const error = { code: -32001, message: "Session not found" }
      return Response.json({ jsonrpc: "2.0", error, id: null }, { status: 404 })
    }
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (begun) => void transports.set(begun, transport),
      onsessionclosed: (ended) => void transports.delete(ended)
    })
    const made = Tools.make(log, (server, subscribed) => {
      server.sendToolListChanged()
      for (const uri of subscribed) void server.server.sendResourceUpdated({ uri })
    })
    await made.connect(transport)
    return transport.handleRequest(request)
  }
}

const answering = era === "legacy" ? sessions() : both(era === "modern" ? "reject" : "stateless")

const serve = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
  const gone = new AbortController()
  outgoing.once("close", () => gone.abort())
  const parts: Array<Buffer> = []
  for await (const part of incoming) parts.push(part)
  const headers = Object.entries(incoming.headers).flatMap(([name, value]): Array<[string, string]> =>
    typeof value === "string" ? [[name, value]] : []
  )
  const method = incoming.method ?? "GET"
  const response = await answering(
    new Request(`http://127.0.0.1${incoming.url}`, {
      method,
      headers,
      signal: gone.signal,
      ...(method === "POST" ? { body: Buffer.concat(parts) } : {})
    })
  )
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.flushHeaders()
  if (response.body === null) outgoing.end()
  else await pipeline(Readable.fromWeb(response.body as ReadableStream), outgoing)
}

const server = createServer((incoming, outgoing) => void serve(incoming, outgoing).catch(() => outgoing.destroy()))
server.listen(Number(port), "127.0.0.1")
