/** The child of `ScriptedServer`, Streamable HTTP by hand: `node scripted port log behaviour`. */
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { Behaviour, Envelope, Question, Received, Reply, Script } from "../internal/scripted.ts"
import { tally } from "../internal/tally.ts"
import * as Tools from "./scriptedTools.ts"
import type { Message } from "./scriptedTools.ts"

/** An SSE stream, which outlives its response when events are stored. */
interface Stream {
  readonly id: string
  readonly standing: boolean
  readonly events: Array<string>
  response: Http.ServerResponse | undefined
  complete: boolean
}
interface Session extends Tools.Session {
  readonly streams: Set<Stream>
}

const [port = "0", log = "/dev/null", initial = "{}"] = process.argv.slice(2)
let behaviour: Behaviour = JSON.parse(initial)
let scripts: Array<{ readonly script: Script; left: number }> = []
const sessions = new Map<string, Session>()
const standing = new Set<Stream>()
const received: Array<Received> = []
const tools = Tools.make(log, () => behaviour.lists)
let sockets = 0
let deletes = 0
let pings = 0
let pingsAnswered = 0

const newSession = (): Session => ({ calls: 0, streams: new Set() })
/** Where there are no sessions each request has one for itself. */
const sessionOf = (id: string | undefined) => (behaviour.stateful ? sessions.get(id ?? "") : newSession())

const json = (response: Http.ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
const refuse = (response: Http.ServerResponse, status: number, message: string, headers: Record<string, string> = {}) =>
  json(
    response,
    status,
    { jsonrpc: "2.0", id: null, error: { code: status === 404 ? -32001 : -32000, message } },
    headers
  )

const openStream = (
  response: Http.ServerResponse,
  session: Session,
  stream: Stream,
  headers: Record<string, string> = {}
) => {
  stream.response = response
  session.streams.add(stream)
  if (stream.standing) standing.add(stream)
  response.on("close", () => {
    if (stream.response !== response) return
    stream.response = undefined
    standing.delete(stream)
    // Without stored events nothing is left that could be resumed.
    if (!behaviour.eventStore) session.streams.delete(stream)
  })
  response
    .writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache", ...headers })
    .flushHeaders()
  if (behaviour.retry !== null) response.write(`retry: ${behaviour.retry}\n\n`)
}
const newStream = (isStanding: boolean): Stream => ({
  id: randomUUID(),
  standing: isStanding,
  events: [],
  response: undefined,
  complete: false
})

const frame = (stream: Stream, index: number) =>
  `${behaviour.eventStore ? `id: ${stream.id}_${index}\n` : ""}data: ${stream.events[index] ?? ""}\n\n`
const emit = (stream: Stream, data: string) => {
  const index = stream.events.push(data) - 1
  stream.response?.write(frame(stream, index))
}
const finish = (stream: Stream) => {
  stream.complete = true
  stream.response?.end()
}
const broadcast = (message: unknown) => standing.forEach((stream) => emit(stream, JSON.stringify(message)))

/** The script that applies to a request now; it is used up by that. */
const takeScript = (method: string, rpcMethod: string | undefined) => {
  const found = scripts.findLast(({ left, script }) => left > 0 && [rpcMethod, method, "*"].includes(script.to))
  if (found !== undefined) found.left--
  return found?.script.reaction
}

const header = (request: Http.IncomingMessage, name: string) => {
  const value = request.headers[name]
  return typeof value === "string" ? value : undefined
}

const handle = (request: Http.IncomingMessage, response: Http.ServerResponse, body: string) => {
  const method = request.method ?? ""
  const message: Message | undefined = method === "POST" ? JSON.parse(body) : undefined
  const rpcMethod = message?.method
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)])
  received.push({ method, ...(rpcMethod === undefined ? {} : { rpcMethod }), headers: Object.fromEntries(headers) })

  const reaction = takeScript(method, rpcMethod)
  if (reaction?._tag === "Hang") return
  if (reaction?._tag === "Status")
    return response.writeHead(reaction.status, { ...reaction.headers }).end(reaction.body ?? "")
  if (behaviour.authorization !== null && header(request, "authorization") !== behaviour.authorization)
    return refuse(response, 401, "Unauthorized", { "www-authenticate": "Bearer" })
  if (method === "OPTIONS") return response.writeHead(204, { allow: "GET, POST, DELETE, OPTIONS" }).end()
  if (method === "GET" && !behaviour.getStream) return refuse(response, 405, "Method not allowed")

  if (rpcMethod === "initialize") {
    if (behaviour.singleSession && sessions.size > 0) return refuse(response, 409, "Another session is open")
    const session = newSession()
    const id = randomUUID()
    if (behaviour.stateful) sessions.set(id, session)
    return answer(response, session, message ?? {}, reaction, behaviour.stateful ? { "mcp-session-id": id } : {})
  }
  const id = header(request, "mcp-session-id")
  if (behaviour.stateful && id === undefined)
    return refuse(response, 400, "Bad Request: Mcp-Session-Id header is required")
  const session = sessionOf(id)
  if (session === undefined) return refuse(response, behaviour.staleSession, "Session not found")

  if (method === "GET") return openGet(response, session, header(request, "last-event-id"))
  if (method === "DELETE") {
    deletes++
    sessions.delete(id ?? "")
    session.streams.forEach(finish)
    return response.writeHead(200).end()
  }
  if (message === undefined) return refuse(response, 405, "Method not allowed")
  if (message.id === undefined || rpcMethod === undefined) {
    if (rpcMethod === undefined && String(message.id).startsWith("ping-")) pingsAnswered++
    return response.writeHead(202).end()
  }
  return answer(response, session, message, reaction)
}

const openGet = (response: Http.ServerResponse, session: Session, lastEventId: string | undefined) => {
  if (lastEventId !== undefined && behaviour.eventStore) {
    const [id, index] = lastEventId.split("_")
    const stream = [...session.streams].find((candidate) => candidate.id === id)
    if (stream === undefined) return refuse(response, 400, "Unknown event id")
    stream.response?.end()
    openStream(response, session, stream)
    for (let next = Number(index) + 1; next < stream.events.length; next++) response.write(frame(stream, next))
    return stream.complete ? response.end() : undefined
  }
  if ([...session.streams].some((stream) => stream.standing && stream.response !== undefined))
    return refuse(response, 409, "Conflict: Only one SSE stream is allowed per session")
  const stream = newStream(true)
  openStream(response, session, stream)
  if (behaviour.eventStore) emit(stream, "")
}

const answer = async (
  response: Http.ServerResponse,
  session: Session,
  message: Message,
  reaction: Script["reaction"] | undefined,
  headers: Record<string, string> = {}
) => {
  const stream = behaviour.answers === "sse" ? newStream(false) : undefined
  if (stream !== undefined) {
    openStream(response, session, stream, headers)
    if (behaviour.eventStore) emit(stream, "")
  }
  const notify = (notification: unknown) => stream !== undefined && emit(stream, JSON.stringify(notification))
  const text = await tools.answer(message, session, notify, reaction)
  if (stream === undefined) return response.writeHead(200, { "content-type": "application/json", ...headers }).end(text)
  emit(stream, text)
  finish(stream)
}

const listChanged = (kind: string) => broadcast({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` })

const perform = (question: Question): Omit<Reply, "id"> => {
  switch (question._tag) {
    case "Configure":
      behaviour = { ...behaviour, ...question.behaviour }
      return {}
    case "React":
      scripts.push({ script: question.script, left: question.script.times ?? Infinity })
      return {}
    case "ForgetScripts":
      scripts = []
      return {}
    case "ExpireSessions":
      sessions.clear()
      return {}
    case "Notify":
      for (let time = 0; time < (question.times ?? 1); time++) {
        broadcast({ jsonrpc: "2.0", method: question.method, params: question.params })
      }
      return {}
    case "Ping":
      broadcast({ jsonrpc: "2.0", id: `ping-${++pings}`, method: "ping" })
      return {}
    case "EndStreams":
      standing.forEach(finish)
      return {}
    case "AddTool":
      tools.names.add(question.name)
      if (question.inputSchema !== undefined) tools.added.set(question.name, question.inputSchema)
      listChanged("tools")
      return {}
    case "RemoveTool":
      tools.names.delete(question.name)
      tools.added.delete(question.name)
      listChanged("tools")
      return {}
    case "List":
      tools.lists[question.kind] = question.entries
      listChanged(question.kind)
      return {}
    case "Requests":
      return { requests: received }
    case "Stats":
      return {
        stats: {
          sessions: sessions.size,
          sockets,
          streams: standing.size,
          deletes,
          pingsAnswered,
          byMethod: tally(received.map(({ method }) => method)),
          byRpcMethod: tally(received.flatMap(({ rpcMethod }) => rpcMethod ?? []))
        }
      }
  }
}

process.on("message", ({ id, question }: Envelope) => process.send?.({ id, ...perform(question) } satisfies Reply))
// Its parent has gone without killing it.
process.on("disconnect", () => process.exit())

Http.createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (request, response) => {
  // The readiness check: no part of what a test wants to see.
  if (request.url?.split("?")[0] !== "/mcp") return response.writeHead(404).end()
  const parts: Array<Buffer> = []
  request.on("data", (part: Buffer) => parts.push(part))
  request.on("end", () => {
    try {
      handle(request, response, Buffer.concat(parts).toString())
    } catch {
      refuse(response, 400, "Parse error")
    }
  })
})
  .on("connection", (socket) => {
    sockets++
    socket.on("close", () => sockets--)
  })
  .listen(Number(port), "127.0.0.1")
