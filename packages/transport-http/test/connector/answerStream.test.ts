/** What becomes of a call whose answer stream is cut. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Fault, type FaultProxy, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import { eventuallyEffect, initializeResult, measured, open, openThroughProxy, run, serve } from "./support.ts"

const cutCall = { on: { method: "POST", rpc: "tools/call" }, times: 1 } as const

/** Of everything that was asked, only the standing stream is left. */
const eventuallyOnlyStanding = (proxy: FaultProxy.FaultProxy) =>
  eventuallyEffect(Effect.map(proxy.stats, ({ inFlight, openStreams }) => inFlight === 1 && openStreams === 1))

const idOf = (body: string): unknown => (body === "" ? undefined : JSON.parse(body).id)

describe("a call whose answer stream is cut", () => {
  it.live("fails within 100 ms where the server cannot resume it", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(30))))
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("100 millis")
      const cut = yield* proxy.inject(Fault.CutMidChunk(cutCall))
      const { at } = yield* cut.struck
      const ended = yield* Fiber.join(call)
      measured("a cut answer stream that cannot be resumed fails after", ended.at - at)
      expect(Exit.isFailure(ended.result)).toBe(true)
      expect(ended.at - at).toBeLessThan(100)
      expect(ended.requests).toMatchObject([
        {
          method: "tools/call",
          tool: "slow",
          fate: "dispatched",
          evidence: { _tag: "TransportFailure", reason: "stream_cut" }
        }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("gets its result where mcp-proxy delivers it on the resumed stream", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const { host, proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(2))))
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("300 millis")
      const { at } = yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
      const ended = yield* Fiber.join(call)
      measured("mcp-proxy: result of a 2 s tool, cut after 0.3 s, arrived after", ended.at - at)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(ended.took).toBeLessThan(2500)
      expect(ended.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
      expect(host.notices.map(({ notice }) => notice)).toContain("answer_resumed")
      yield* eventuallyOnlyStanding(proxy)
    }).pipe(Effect.scoped)
  )

  it.live("gets its result where server-everything keeps it but never sends it on the resumed stream", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(3))))
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("300 millis")
      const { at } = yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
      const ended = yield* Fiber.join(call)
      measured("server-everything: result of a 3 s tool, cut after 0.3 s, arrived after", ended.at - at)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(ended.took).toBeLessThan(5500)
    }).pipe(Effect.scoped)
  )

  it.live("gets its result where server-everything sends on it what it keeps of other requests as well", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { host, proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(1))))
      yield* eventuallyEffect(Effect.map(server.executions, ({ length }) => length === 1))
      const others = yield* run(session, (client) => Promise.all([client.listTools(), client.ping()]))
      expect(Exit.isSuccess(others.result)).toBe(true)
      yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
      const ended = yield* Fiber.join(call)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(ended.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
      expect(host.notices.map(({ notice }) => notice)).toContain("answer_resumed")
      expect(yield* server.executions).toHaveLength(1)
    }).pipe(Effect.scoped)
  )

  it.live("gets its result where a server resumes properly but does not refuse a second stream", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ eventStore: true })
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(1))))
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("100 millis")
      yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
      const ended = yield* Fiber.join(call)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(ended.took).toBeLessThan(1500)
    }).pipe(Effect.scoped)
  )

  it.live("gets its result through a proxy that cuts silent streams again and again (mcp-proxy)", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const { proxy, session } = yield* openThroughProxy(server)
      yield* proxy.inject(Fault.IdleCut({ on: { method: ["POST", "GET"] }, after: "1500 millis" }))
      const ended = yield* run(session, (client) => client.callTool(server.slow(6)))
      measured("mcp-proxy: a silent tool of 6 s behind a proxy that cuts after 1.5 s took", ended.took)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(ended.took).toBeLessThan(6500)
    }).pipe(Effect.scoped)
  )

  it.live("fails at once when the server is killed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { session } = yield* open(HttpConnector.make({ url: server.url }))
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(30))))
      yield* eventuallyEffect(Effect.map(server.output, (output) => output.split("POST").length >= 4))
      yield* server.kill
      const at = performance.now()
      const ended = yield* Fiber.join(call)
      measured("server-everything killed: the call had failed within", ended.at - at)
      expect(ended.at - at).toBeLessThan(100)
      // Whether the answer had begun is the server's haste.
      const reason = expect.stringMatching(/^(stream_cut|reset)$/)
      expect(ended.requests).toMatchObject([{ fate: "dispatched", evidence: { reason } }])
    }).pipe(Effect.scoped)
  )

  it.live("gets every progress once and its result, however often the stream is cut", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { proxy, session } = yield* openThroughProxy(server)
      const seen: Array<number> = []
      const call = yield* Effect.forkChild(
        run(session, (client) =>
          client.callTool({ name: "trigger-long-running-operation", arguments: { duration: 3, steps: 6 } }, undefined, {
            onprogress: ({ progress }) => seen.push(progress)
          })
        )
      )
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      for (const _ of [1, 2]) {
        yield* Effect.sleep("700 millis")
        yield* (yield* proxy.inject(Fault.Reset({ on: { method: ["POST", "GET"] }, times: 3 }))).struck
        yield* proxy.heal
      }
      const ended = yield* Fiber.join(call)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      expect(seen).toEqual([1, 2, 3, 4, 5, 6].slice(0, seen.length))
      expect(seen.length).toBeGreaterThanOrEqual(5)
    }).pipe(Effect.scoped)
  )

  it.live("fails at once where resuming is refused", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      for (const status of [404, 400, 405, 409, 500]) {
        const { close, host, proxy, session } = yield* openThroughProxy(server)
        const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(20))))
        yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
        yield* Effect.sleep("100 millis")
        yield* proxy.inject(Fault.Answer({ on: { method: "GET", resuming: true }, status }))
        const { at } = yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
        const ended = yield* Fiber.join(call)
        measured(`resuming refused with ${status}: failed after`, ended.at - at)
        expect(ended.at - at).toBeLessThan(100)
        expect(ended.requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "stream_cut" } }])
        expect(host.observed).toEqual([])
        yield* eventuallyOnlyStanding(proxy)
        yield* close
      }
    }).pipe(Effect.scoped)
  )

  it.live("fails at once where the server only pretends to resume", () =>
    Effect.gen(function* () {
      let events = 0
      let cut: ServerResponse | undefined
      const server = yield* serve((request, body, response) => {
        if (request.method === "GET") {
          // Every GET opens a stream on which nothing is ever replayed.
          response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
          return void response.write(`id: g${++events}\ndata: \n\n`)
        }
        if (body.includes("tools/call")) {
          response.writeHead(200, { "content-type": "text/event-stream" })
          response.write(`id: e${++events}\ndata: \n\n`)
          cut = response
          return
        }
        if (idOf(body) === undefined) return void response.writeHead(202).end()
        response.writeHead(200, { "content-type": "text/event-stream", "mcp-session-id": "s" })
        response.end(`id: e${++events}\ndata: \n\nid: e${++events}\ndata: ${initializeResult(idOf(body))}\n\n`)
      })
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool({ name: "x" })))
      yield* Effect.sleep("100 millis")
      const at = performance.now()
      cut?.destroy()
      const ended = yield* Fiber.join(call)
      measured("a server that only pretends to resume: failed after", ended.at - at)
      expect(ended.at - at).toBeLessThan(400)
      expect(ended.requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "stream_cut" } }])
      yield* eventuallyOnlyStanding(proxy)
    }).pipe(Effect.scoped)
  )

  it.live("is polled as the server asks where the server ends the stream itself (SEP-1699)", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ eventStore: true, retry: 300 })
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(1))))
      const { at } = yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("100 millis")
      yield* (yield* proxy.inject(Fault.HalfClose(cutCall))).struck
      const ended = yield* Fiber.join(call)
      expect(Exit.isSuccess(ended.result)).toBe(true)
      const resumed = yield* proxy.awaitRequest(({ at: later, lastEventId }) => lastEventId !== undefined && later > at)
      expect(resumed.at - at).toBeGreaterThan(100)
    }).pipe(Effect.scoped)
  )

  it.live("frees everything when its caller gives up while it is resumed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.mcpProxy({ backend: "small" })
      const { proxy, session } = yield* openThroughProxy(server)
      const call = yield* Effect.forkChild(
        run(session, (client, signal) => client.callTool(server.slow(30), undefined, { signal }))
      )
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* Effect.sleep("100 millis")
      yield* (yield* proxy.inject(Fault.CutMidChunk(cutCall))).struck
      yield* proxy.awaitRequest(({ lastEventId }) => lastEventId !== undefined)
      yield* Effect.sleep("200 millis")
      yield* Fiber.interrupt(call)
      yield* eventuallyOnlyStanding(proxy)
    }).pipe(Effect.scoped)
  )

  it.live(
    "keeps its place among the connections while it is resumed, so that a server which cuts all of them gets no more",
    () =>
      Effect.gen(function* () {
        let events = 0
        const resumed = new Set<string>()
        const server = yield* serve((request, body, response) => {
          if (request.method === "GET") {
            const after = request.headers["last-event-id"]
            // one stream for each request, on which the answer would come, and none of its own accord
            if (typeof after !== "string") return void response.writeHead(405).end()
            if (resumed.has(after)) return void response.writeHead(409).end()
            resumed.add(after)
            return response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
          }
          if (body.includes("tools/call")) {
            response.writeHead(200, { "content-type": "text/event-stream" })
            return void response.write(`id: e${++events}\ndata: \n\n`, () => response.destroy())
          }
          if (idOf(body) === undefined) return void response.writeHead(202).end()
          response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s" })
          response.end(initializeResult(idOf(body)))
        })
        const { session } = yield* open(HttpConnector.make({ url: server.url, limits: { connections: 16 } }))
        const calls = yield* Effect.forEach(Array(200).keys(), () =>
          Effect.forkChild(run(session, (client, signal) => client.callTool({ name: "x" }, undefined, { signal })))
        )
        yield* eventuallyEffect(Effect.sync(() => resumed.size === 12))
        yield* Effect.sleep("300 millis")
        expect(resumed.size).toBe(12)
        expect(events).toBe(12)
        expect(server.sockets()).toBeLessThanOrEqual(16)
        yield* Effect.forEach(calls, Fiber.interrupt, { concurrency: "unbounded" })
      }).pipe(Effect.scoped)
  )
})
