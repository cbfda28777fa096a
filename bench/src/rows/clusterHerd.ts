/** How 300 backends of a cluster come back that were all let go, since the database was away for longer than the lease. */
import { Database } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { setTimeout as sleep } from "node:timers/promises"
import * as Clustered from "../Clustered.ts"
import type { Row } from "../Row.ts"

const count = 300
const processes = 3
const lease = 4
/** What an origin has room for by default, and for how many milliseconds at most each attempt counts there. */
const originStarts = 8
const hold = 250
/** Milliseconds that the server takes for a handshake: longer than that, so that the pace is that of the limits alone. */
const handshake = 300

interface Server {
  readonly url: string
  readonly open: () => number
  /** when each handshake began, since `forget` */
  readonly begun: () => ReadonlyArray<number>
  readonly forget: () => void
}

/** A server of one origin that counts its handshakes. */
const serve: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function* () {
  const sessions = new Set<string>()
  let begun: Array<number> = []
  const answer = (response: ServerResponse, status: number, headers: Record<string, string> = {}, body = "") =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(body)
  const server = createServer((request, response) => {
    const id = String(request.headers["mcp-session-id"])
    if (request.method === "GET") return answer(response, 405)
    if (request.method === "DELETE") return answer(response, sessions.delete(id) ? 204 : 404)
    const handle = async () => {
      const asked: {
        readonly id?: number
        readonly method: string
        readonly params?: { readonly protocolVersion?: string }
      } = JSON.parse(await text(request))
      const result = (result: object, headers?: Record<string, string>) =>
        answer(response, 200, headers, JSON.stringify({ jsonrpc: "2.0", id: asked.id, result }))
      if (asked.method !== "initialize") {
        if (!sessions.has(id)) return answer(response, 404)
        return asked.id === undefined
          ? answer(response, 202)
          : result(asked.method === "tools/list" ? { tools: [] } : {})
      }
      begun.push(performance.now())
      await sleep(handshake)
      const made = randomUUID()
      sessions.add(made)
      const { protocolVersion } = asked.params ?? {}
      const serverInfo = { name: "herd", version: "1" }
      return result({ protocolVersion, capabilities: { tools: {} }, serverInfo }, { "mcp-session-id": made })
    }
    handle().catch(() => response.destroy())
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1", 1024), "listening")),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    open: () => sessions.size,
    begun: () => begun,
    forget: () => void (begun = [])
  }
})

const until = (holds: () => boolean) =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.sleep("20 millis")
  })

export const clusterHerd: Row = {
  name: "cluster-herd",
  title: `${count} backends of one origin, let go at once by ${processes} processes: from the first handshake to the last`,
  unit: "ms",
  run: Effect.gen(function* () {
    const server = yield* serve
    const storage = yield* Database.make
    const backends = Object.fromEntries(Array.from({ length: count }, (_, index) => [`backend-${index}`, server.url]))
    const common: Clustered.Common = { storage: storage.port, backends, interval: 60, lease }
    for (let left = processes; left > 0; left--) yield* Clustered.member(common)
    yield* until(() => server.open() === count)
    // sessions still go from one to another
    yield* Effect.sleep("3 seconds")
    yield* until(() => server.open() === count)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.kill(storage.pid, "SIGSTOP")),
      () => Effect.sync(() => process.kill(storage.pid, "SIGCONT"))
    )
    yield* until(() => server.open() === 0)
    server.forget()
    process.kill(storage.pid, "SIGCONT")
    yield* until(() => server.open() === count)
    const begun = server.begun()
    const [first = 0] = begun
    const took = (begun.at(-1) ?? 0) - first
    return {
      contestants: [{ name: `originStarts ${originStarts}, held for ${hold} ms`, rounds: [took] }],
      limits: [
        {
          what: "handshakes a second, of all processes",
          found: ((begun.length - originStarts) * 1000) / took,
          most: ((originStarts * 1000) / hold) * 1.1,
          because: "an origin is not to notice how many processes there are"
        },
        {
          what: "handshakes beyond one for each backend",
          found: begun.length - count,
          most: 0,
          because: "each comes back once, where it is kept"
        }
      ],
      remarks: [`${count} at that pace are ${(((count - originStarts) * hold) / originStarts).toLocaleString("en")} ms`]
    }
  })
}
