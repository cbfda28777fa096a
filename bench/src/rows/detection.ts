/** How soon a call in flight is told that its server was killed. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect, Exit, Scope } from "effect"
import * as Http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import * as BareClient from "../BareClient.ts"
import type { Row } from "../Row.ts"

const rounds = 5
/** how long the bare client is waited for */
const patience = 1000

export const detection: Row = {
  name: "detection",
  title: "From SIGKILL of the server to the end of a call in flight (SSE)",
  unit: "ms",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make()
    const backend = yield* Backend.make({
      id: "detection",
      connector: HttpConnector.make({ url: server.url }),
      // quick to connect again: the next round needs a session on the next server
      policy: {
        failureThreshold: 1,
        stableAfter: 0,
        backoff: { initial: "20 millis", cap: "100 millis" },
        circuit: "none"
      }
    })
    const values: { readonly [Name in "socket" | "bare" | "ours"]: Array<number> } = { socket: [], bare: [], ours: [] }
    // the first round does not count
    for (let round = 0; round <= rounds; round++) {
      yield* server.start
      yield* backend.awaitConnected
      const scope = yield* Scope.make()
      const bare = yield* Scope.provide(BareClient.http(server.url), scope)
      const pid = yield* server.pid
      const measured = yield* Effect.promise(async () => {
        const socket = ended(server.url)
        const sdk = settled(slow(bare))
        const ours = settled(Effect.runPromise(backend.use(slow)))
        await sleep(50)
        const at = performance.now()
        process.kill(pid, "SIGKILL")
        const late = sleep(patience).then(() => at + patience)
        const since = (end: Promise<number>) => Promise.race([end, late]).then((time) => time - at)
        return { socket: await since(socket), ours: await since(ours), bare: await since(sdk) }
      })
      yield* server.kill
      yield* Scope.close(scope, Exit.void)
      if (round === 0) continue
      values.socket.push(measured.socket)
      values.ours.push(measured.ours)
      values.bare.push(measured.bare)
    }
    return {
      contestants: [
        { name: "the socket's own end", rounds: values.socket },
        { name: "backend.use", rounds: values.ours },
        { name: `SDK client.callTool (left after ${patience} ms)`, rounds: values.bare }
      ]
    }
  })
}

const slow = (client: Client) =>
  client.callTool({ name: "slow", arguments: { ms: 60_000 } }, undefined, { timeout: 120_000 })

/** When a promise was settled, either way. */
const settled = (promise: PromiseLike<unknown>): Promise<number> => {
  const end = () => performance.now()
  return Promise.resolve(promise).then(end, end)
}

/** When a connection to the server was closed by it. */
const ended = (url: string): Promise<number> =>
  new Promise((resolve) => {
    const end = () => resolve(performance.now())
    const body = { jsonrpc: "2.0", id: 0, method: "initialize", params: { protocolVersion: "2025-11-25" } }
    const request = Http.request(url, { method: "POST", agent: new Http.Agent({ keepAlive: true }) }, (response) => {
      response.resume()
    })
    request.on("socket", (socket) => socket.on("close", end))
    request.on("error", end)
    request.end(JSON.stringify(body))
  })
