/**
 * Many MCP servers of one process, one for each path `/<id>`: what they have counted is what really happened. A replica says who it is in a header.
 */
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** a session of one backend, and the replica whose it is */
export interface Session {
  readonly backend: string
  readonly replica: string
  readonly from: number
  /** when it last asked something */
  lastAsked: number
  lastMethod: string
  /** when it was ended by a DELETE */
  ended: number | undefined
}

/** a tool that was executed */
export interface Executed {
  readonly backend: string
  readonly replica: string
  readonly tag: string
  readonly at: number
  /** when the server was told to end it */
  cancelled: number | undefined
}

export interface Farm {
  /** for how many milliseconds a server thinks before it answers `initialize`, from now on; at first not at all */
  readonly think: (ms: number) => void
  readonly url: (id: string) => string
  readonly sessions: () => ReadonlyArray<Session>
  readonly executed: () => ReadonlyArray<Executed>
}

/** A request in a session after another replica had begun one with the same server. */
export interface Act {
  readonly backend: string
  readonly replica: string
  readonly at: number
  readonly what: string
}

/** The last such request of every session: two replicas acted at once. */
export const actedAtOnce = (sessions: ReadonlyArray<Session>): ReadonlyArray<Act> =>
  sessions.flatMap(({ backend, from, lastAsked, lastMethod, replica }, index) => {
    const after = sessions.slice(index + 1).find((other) => other.backend === backend && other.replica !== replica)
    if (after === undefined || lastAsked <= after.from) return []
    const what = `${lastMethod} in a session since ${from}, ${lastAsked - after.from} ms after ${after.replica} began`
    return [{ backend, replica, at: lastAsked, what }]
  })

interface Asked {
  readonly id?: number
  readonly method: string
  readonly params?: {
    readonly protocolVersion?: string
    readonly requestId?: number
    readonly arguments?: { readonly tag?: string; readonly ms?: number }
  }
}

export const make: Effect.Effect<Farm, never, Scope.Scope> = Effect.gen(function* () {
  const sessions = new Map<string, Session>()
  const executed: Array<Executed> = []
  /** by session and request */
  const running = new Map<string, Executed>()
  const timers = new Set<NodeJS.Timeout>()
  let thinking = 0

  const later = (ms: number, then: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      then()
    }, ms)
    timers.add(timer)
  }

  const answer = (response: Http.ServerResponse, status: number, body?: object, headers: Record<string, string> = {}) =>
    body === undefined
      ? response.writeHead(status, headers).end()
      : response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

  const handle = (request: Http.IncomingMessage, response: Http.ServerResponse, body: string) => {
    const backend = (request.url ?? "").slice(1)
    const replica = String(request.headers["x-replica"])
    const sessionId = request.headers["mcp-session-id"]
    const session = typeof sessionId === "string" ? sessions.get(sessionId) : undefined
    if (request.method === "GET") return answer(response, 405)
    if (request.method === "DELETE") {
      if (session !== undefined) session.ended ??= Date.now()
      return answer(response, session === undefined ? 404 : 204)
    }
    const { id, method, params }: Asked = JSON.parse(body)
    const result = (result: object, headers?: Record<string, string>) =>
      answer(response, 200, { jsonrpc: "2.0", id, result }, headers)
    if (method === "initialize") {
      const at = Date.now()
      const made = randomUUID()
      sessions.set(made, { backend, replica, from: at, lastAsked: at, lastMethod: method, ended: undefined })
      const serverInfo = { name: backend, version: "1" }
      const { protocolVersion } = params ?? {}
      const answered = { protocolVersion, capabilities: { tools: {} }, serverInfo }
      return later(thinking, () => result(answered, { "mcp-session-id": made }))
    }
    if (session === undefined || session.ended !== undefined) return answer(response, 404)
    if (method === "notifications/cancelled") {
      // Whoever wakes up ends what it has begun, in its own session: that is no act.
      const told = running.get(`${sessionId} ${params?.requestId}`)
      if (told !== undefined) told.cancelled ??= Date.now()
      return answer(response, 202)
    }
    session.lastAsked = Date.now()
    session.lastMethod = method
    if (id === undefined) return answer(response, 202)
    if (method === "tools/list") return result({ tools: [{ name: "work", inputSchema: { type: "object" } }] })
    if (method !== "tools/call") return result({})
    const { ms = 0, tag = "" } = params?.arguments ?? {}
    const one: Executed = { backend, replica, tag, at: Date.now(), cancelled: undefined }
    executed.push(one)
    running.set(`${sessionId} ${id}`, one)
    later(ms, () => {
      running.delete(`${sessionId} ${id}`)
      result({ content: [{ type: "text", text: tag }] })
    })
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const made = Http.createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => void handle(request, response, Buffer.concat(parts).toString()))
      })
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.callback<void>((resume) => {
        for (const timer of timers) clearTimeout(timer)
        made.close(() => resume(Effect.void))
        made.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    think: (ms) => void (thinking = ms),
    url: (id) => `http://127.0.0.1:${port}/${id}`,
    sessions: () => [...sessions.values()],
    executed: () => executed
  }
})
