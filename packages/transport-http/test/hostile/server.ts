/**
 * A server with the tools `echo`, `begin` and `attack`, Streamable HTTP by hand, that is good but for one thing:
 * `node server.ts <name of a scenario, or good>`. Says its port when it listens, and what it has counted when asked.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { attacks } from "./attacks/attacks.ts"
import { type Attack, event, type Exchange, json, type Message, resultOf, stream, textOf } from "./attacks/exchange.ts"
import type { Tally } from "./scenario.ts"

const all: Readonly<Record<string, Attack>> = { ...attacks, good: {} }
const attack = all[process.argv[2] ?? ""]
if (attack === undefined) throw new Error(`no such scenario: ${process.argv[2]}`)

const tally: Tally = { attacks: 0, calls: 0, pings: 0, pages: 0, streams: 0, answers: 0 }
const session = `session-${process.pid}`
const tools = ["echo", "begin", "attack"].map((name) => ({ name, inputSchema: { type: "object" } }))
let opened: ((stream: Http.ServerResponse) => void) | undefined
const standing = new Promise<Http.ServerResponse>((resolve) => {
  opened = resolve
})

const answer = (exchange: Exchange, result: object) =>
  stream(exchange.response, { "mcp-session-id": session }).end(event(resultOf(exchange, result)))

const call = async (exchange: Exchange) => {
  const { params } = exchange.message
  tally.calls++
  if (params?.name === "attack" && attack.call !== undefined) {
    tally.attacks++
    return attack.call(exchange)
  }
  answer(exchange, textOf(params?.arguments?.message ?? ""))
  if (params?.name !== "begin" || attack.standing === undefined) return
  const stream = await standing
  tally.attacks++
  attack.standing(stream)
}

const take = (exchange: Exchange) => {
  const { message, response } = exchange
  switch (message.method) {
    case "initialize":
      return answer(exchange, {
        protocolVersion: message.params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "hostile", version: "0.0.0" }
      })
    case "ping":
      if (tally.pings++ === 0 || attack.ping === undefined) return answer(exchange, {})
      tally.attacks++
      return attack.ping(exchange)
    case "tools/list":
      tally.pages++
      if (attack.list === undefined) return answer(exchange, { tools })
      tally.attacks++
      return json(response, resultOf(exchange, attack.list(message.params?.cursor)))
    case "tools/call":
      return call(exchange)
    case undefined:
      tally.answers++
      if (attack.answered === undefined) return response.writeHead(202).end()
      return attack.answered(exchange)
    default:
      return response.writeHead(202).end()
  }
}

attack.prepare?.()

const server = Http.createServer((request, response) => {
  // the client may have gone
  response.on("error", () => {})
  if (request.method === "GET") {
    tally.streams++
    return opened?.(stream(response))
  }
  if (request.method !== "POST") return response.writeHead(200).end()
  const parts: Array<Buffer> = []
  request.on("data", (part: Buffer) => parts.push(part))
  request.on("end", () => {
    const message: Message = JSON.parse(Buffer.concat(parts).toString())
    void take({ message, response, standing })
  })
})
server.on("connection", (socket) => socket.on("error", () => {}))
server.listen(0, "127.0.0.1", 4096, () => {
  const address = server.address() as AddressInfo
  process.send?.(address.port)
})
process.on("message", () => process.send?.(tally))
// Its parent has gone without killing it.
process.on("disconnect", () => process.exit())
