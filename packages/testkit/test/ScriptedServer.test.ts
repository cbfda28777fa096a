import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Fault, FaultProxy, ScriptedServer } from "../src/index.ts"
import { call, get, open, request, rpc } from "./client.ts"
import { http, line } from "./target.ts"

const { Control, Reaction } = ScriptedServer

/** A standing GET stream that the server has opened. */
const standing = Effect.fnUntraced(function* (port: number, session: string | undefined, lastEventId?: string) {
  const client = yield* line(port)
  client.send(
    http("GET", "/mcp", "", {
      "mcp-session-id": session ?? "",
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId })
    })
  )
  yield* client.until("\r\n\r\n")
  return client
})

describe("ScriptedServer", () => {
  it.live("executes its tools, counts, and records what it received", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { session } = yield* open(server.url)
      const tool = (name: string, args = {}) => call(server.url, session, { name, arguments: args })
      assert.include(JSON.stringify((yield* tool("echo", { message: "hi" })).message.result), "Echo: hi")
      assert.include(JSON.stringify((yield* tool("fail")).message.result), "isError")
      assert.strictEqual((yield* tool("rpcError", { code: -32603 })).message.error?.code, -32603)
      yield* tool("session_counter")
      assert.include(JSON.stringify((yield* tool("session_counter")).message.result), '"2"')
      const progress = yield* rpc(server.url, session, "tools/call", {
        name: "progress",
        arguments: { ms: 60, everyMs: 20 },
        _meta: { progressToken: 1 }
      })
      assert.strictEqual(progress.text.split("notifications/progress").length, 4)
      const stats = yield* server.stats
      assert.strictEqual(stats.sessions, 1)
      assert.strictEqual(stats.byRpcMethod["tools/call"], 6)
      const initialize = (yield* server.requests)[0]
      assert.strictEqual(initialize?.rpcMethod, "initialize")
      assert.isUndefined(initialize?.headers["mcp-session-id"])
      assert.strictEqual((yield* server.executions).length, 6)
      assert.strictEqual((yield* request(server.url, "DELETE", { session })).status, 200)
      assert.deepInclude(yield* server.stats, { sessions: 0, deletes: 1 })
    })
  )

  it.live("is configured while it runs", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ answers: "json" })
      const { session } = yield* open(server.url)
      const configure = (behaviour: Partial<ScriptedServer.Behaviour>) =>
        server.control(Control.Configure({ behaviour }))
      assert.match((yield* rpc(server.url, session, "ping")).headers.get("content-type") ?? "", /json/)
      yield* configure({ answers: "sse", staleSession: 400, singleSession: true, getStream: false })
      assert.match((yield* rpc(server.url, session, "ping")).headers.get("content-type") ?? "", /event-stream/)
      assert.strictEqual((yield* open(server.url)).answer.status, 409)
      assert.strictEqual(yield* get(server.url, session), 405)
      yield* server.control(Control.ExpireSessions())
      assert.strictEqual((yield* rpc(server.url, session, "ping")).status, 400)
      assert.strictEqual((yield* open(server.url)).answer.status, 200)
      yield* configure({ authorization: "Bearer right", singleSession: false })
      assert.strictEqual((yield* open(server.url)).answer.status, 401)
      const headers = { authorization: "Bearer right" }
      assert.strictEqual((yield* request(server.url, "OPTIONS", { headers })).status, 204)
      yield* server.restart
      assert.strictEqual((yield* open(server.url)).answer.status, 200)
    })
  )

  it.live("reacts to chosen methods as scripted, so many times", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ answers: "json" })
      const { session } = yield* open(server.url)
      const ping = rpc(server.url, session, "ping")
      yield* server.react("ping", Reaction.RpcError({ code: -32601 }), 1)
      assert.strictEqual((yield* ping).message.error?.code, -32601)
      assert.isDefined((yield* ping).message.result)
      yield* server.react("ping", Reaction.Status({ status: 429, headers: { "retry-after": "3" } }), 1)
      const busy = yield* ping
      assert.deepStrictEqual([busy.status, busy.headers.get("retry-after")], [429, "3"])
      yield* server.react("*", Reaction.Status({ status: 302, headers: { location: "http://127.0.0.1:1/" } }), 1)
      assert.strictEqual((yield* ping).status, 302)
      yield* server.react("ping", Reaction.InvalidJson(), 1)
      assert.include((yield* ping).text, "no JSON")
      yield* server.react("ping", Reaction.WrongId(), 1)
      assert.match(String((yield* ping).message.id), /^not-/)
      yield* server.react("ping", Reaction.HugeLine({ bytes: 5_000_000 }), 1)
      assert.isAbove((yield* ping).text.length, 5_000_000)
      yield* server.react("ping", Reaction.Hang())
      const proxy = yield* FaultProxy.make({ target: server })
      const hanging = yield* Effect.forkChild(rpc(`${proxy.url}/mcp`, session, "ping"))
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "ping")
      assert.isDefined((yield* rpc(server.url, session, "tools/list")).message.result)
      assert.isUndefined(hanging.pollUnsafe())
      yield* Fiber.interrupt(hanging)
    })
  )

  it.live("speaks on the standing stream: notifications, pings, list changes, its end", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ retry: 123 })
      const { session } = yield* open(server.url)
      const client = yield* standing(server.port, session)
      yield* client.until("retry: 123")
      assert.strictEqual(yield* get(server.url, session), 409)
      yield* server.control(Control.Notify({ method: "notifications/message", params: { data: "hello" } }))
      yield* client.until('"data":"hello"')
      yield* server.control(Control.AddTool({ name: "extra" }))
      yield* client.until("list_changed")
      assert.include((yield* rpc(server.url, session, "tools/list")).text, "extra")
      yield* server.control(Control.Ping())
      yield* client.until('"id":"ping-1"')
      yield* request(server.url, "POST", { session, body: { jsonrpc: "2.0", id: "ping-1", result: {} } })
      assert.deepInclude(yield* server.stats, { pingsAnswered: 1, streams: 1 })
      yield* server.control(Control.EndStreams())
      yield* client.until("\r\n0\r\n")
      assert.strictEqual((yield* server.stats).streams, 0)
    })
  )

  it.live("an answer whose stream was cut is resumed from the event store", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ eventStore: true })
      const { session } = yield* open(server.url)
      const proxy = yield* FaultProxy.make({ target: server })
      const client = yield* line(proxy.port)
      // behind the event with which the stream begins
      yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "tools/call" }, after: 64 }))
      const body = { jsonrpc: "2.0", id: 9, method: "tools/call", params: server.slow(0.2) }
      client.send(http("POST", "/mcp", JSON.stringify(body), { "mcp-session-id": session ?? "" }))
      const priming = yield* client.until("data: ")
      yield* client.ended
      assert.notInclude(client.received(), "done")
      const resumed = yield* standing(proxy.port, session, /id: (\S+)/.exec(priming)?.[1])
      assert.include(yield* resumed.until("done"), '"id":9')
      assert.strictEqual((yield* server.executions).length, 1)
    })
  )
})
