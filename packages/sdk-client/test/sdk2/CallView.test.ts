/** The client of SDK 2.x, how it connects and as one call sees it. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { Ask, CallView, type Message } from "../../src/sdk2/index.ts"
import { idle } from "../support.ts"
import { type Answering, connect, link, methods, server } from "./support.ts"

const info = { name: "test", version: "1.0.0" }
const modern = server("reject")
/** how SDK 1.x answers what it does not know: it is of the legacy era */
const legacy: Answering = async (message, signal) =>
  "method" in message && "id" in message && message.method === "server/discover"
    ? [{ jsonrpc: "2.0", id: message.id, error: { code: -32601, message: "Method not found" } }]
    : server()(message, signal)

const metaOf = (message: Message.Message | undefined) =>
  message !== undefined && "params" in message ? message.params?._meta : undefined

describe("connecting", () => {
  it.live("speaks the modern era with a server that does, by default", () =>
    Effect.gen(function* () {
      const linked = yield* connect()
      expect(linked.client.getProtocolEra()).toBe("modern")
      expect(linked.requests.era).toBe("modern")
      expect(methods(linked)).toEqual(["server/discover"])
      expect(linked.wire[0]).toMatchObject({ id: "server-discover-probe-1" })
    }).pipe(Effect.scoped)
  )

  it.live("speaks the legacy era with a server that does not know the other", () =>
    Effect.gen(function* () {
      const linked = yield* connect({}, legacy)
      expect(linked.client.getProtocolEra()).toBe("legacy")
      expect(linked.requests.era).toBe("legacy")
      expect(methods(linked)).toEqual(["server/discover", "initialize", "notifications/initialized"])
      expect(linked.requests.handshake).toMatchObject({ method: "initialize", fate: "answered" })
    }).pipe(Effect.scoped)
  )

  it.live("asks nothing where the server is known to be of the legacy era", () =>
    Effect.gen(function* () {
      const linked = yield* connect({}, legacy, "legacy")
      expect(methods(linked)).toEqual(["initialize", "notifications/initialized"])
    }).pipe(Effect.scoped)
  )

  it.live("keeps to what the user's client was made with", () =>
    Effect.gen(function* () {
      const pinned = () => new Client(info, { versionNegotiation: { mode: { pin: "2026-07-28" } } })
      expect(methods(yield* connect({ client: pinned }, modern, "legacy"))).toEqual(["server/discover"])
      const old = () => new Client(info, { versionNegotiation: { mode: "legacy" } })
      expect(methods(yield* connect({ client: old }))).toEqual(["initialize", "notifications/initialized"])
      const said = yield* connect({ client: old, versionNegotiation: { mode: "auto" } })
      expect(methods(said)).toEqual(["server/discover"])
      expect(methods(yield* connect({ client: () => new Client(info) }))).toEqual(["server/discover"])
    }).pipe(Effect.scoped)
  )

  it("is not taken for an answer of the legacy era where no answer came", async () => {
    const linked = link({}, () => Promise.reject(new Error("cut")))
    await expect(CallView.kind().connect(linked.client, linked.transport)).rejects.toThrow("cut")
    expect(methods(linked)).toEqual(["server/discover"])
    expect(linked.requests.handshakeFailure()).toEqual(Evidence.transportFailure("stream_cut"))
    expect(linked.requests.pending.size).toBe(0)
  })

  it("is given up with the session", async () => {
    const linked = link({}, () => new Promise(() => {}))
    const ended = CallView.kind().connect(linked.client, linked.transport)
    await idle()
    await linked.transport.close()
    await expect(ended).rejects.toThrow("Connection closed during the version negotiation probe")
    expect(methods(linked)).toEqual(["server/discover"])
    expect(linked.released).toEqual(["server-discover-probe-1"])
  })
})

describe("a call's view of the client", () => {
  it.live("records every request in order, also those that go past `request`", () =>
    Effect.gen(function* () {
      const { client, requests, ...rest } = yield* connect()
      const other = CallView.call(requests, client)
      const call = CallView.call(requests, client)
      yield* Effect.promise(async () => {
        await call.client.listTools()
        await call.client.callTool({ name: "echo" })
        await call.client.discover()
        await call.client.request({ method: "tools/list" })
      })
      expect(call.requests).toMatchObject([
        { method: "tools/list", fate: "answered", settled: true },
        { method: "tools/call", tool: "echo", fate: "answered", settled: true },
        { method: "server/discover", fate: "answered", settled: true },
        { method: "tools/list", fate: "answered", settled: true }
      ])
      expect(other.requests).toEqual([])
      expect(rest.complaints).toEqual([])
      expect(call.client instanceof Client).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("records each leg of a request that the server answers with a question", () =>
    Effect.gen(function* () {
      const make = () => {
        const client = new Client(info, { capabilities: { elicitation: {} } })
        client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }))
        return client
      }
      const { client, requests } = yield* connect({ client: make })
      const call = CallView.call(requests, client)
      const result = yield* Effect.promise(() => call.client.callTool({ name: "ask" }))
      expect(result.content).toEqual([{ type: "text", text: "hello Ada" }])
      expect(call.requests).toMatchObject([
        { method: "tools/call", tool: "ask", fate: "answered", evidence: { _tag: "Answered" } },
        { method: "tools/call", tool: "ask", fate: "answered", evidence: { _tag: "Answered" } }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("sends no further leg once the call is over", () =>
    Effect.gen(function* () {
      let answer = () => {}
      const asked = new Promise<void>((resolve) => {
        answer = resolve
      })
      let begun = () => {}
      const asking = new Promise<void>((resolve) => {
        begun = resolve
      })
      const make = () => {
        const client = new Client(info, { capabilities: { elicitation: {} } })
        client.setRequestHandler("elicitation/create", async () => {
          begun()
          await asked
          return { action: "accept", content: { name: "Ada" } }
        })
        return client
      }
      const linked = yield* connect({ client: make })
      const call = CallView.call(linked.requests, linked.client)
      const ended = call.client.callTool({ name: "ask" }).catch((error: unknown) => error)
      yield* Effect.promise(() => asking)
      call.end()
      answer()
      expect(yield* Effect.promise(() => ended)).toMatchObject({
        message: expect.stringContaining("The call is over")
      })
      expect(call.requests).toMatchObject([{ fate: "answered" }])
      expect(methods(linked).filter((method) => method === "tools/call")).toHaveLength(1)
    }).pipe(Effect.scoped)
  )

  it.live("frees what an aborted request holds, without a message to the server", () =>
    Effect.gen(function* () {
      const linked = yield* connect()
      const call = CallView.call(linked.requests, linked.client)
      const caller = new AbortController()
      const ended = Array.from({ length: 20 }, () =>
        call.client.callTool({ name: "hang" }, { signal: caller.signal }).catch((error: unknown) => error)
      )
      yield* Effect.promise(idle)
      expect(linked.requests.pending.size).toBe(20)
      caller.abort(new Error("enough"))
      yield* Effect.promise(() => Promise.all(ended))
      expect(linked.requests.pending.size).toBe(0)
      // the handshake's, and theirs
      expect(linked.released.length).toBe(21)
      expect(methods(linked)).not.toContain("notifications/cancelled")
      expect(call.requests.every(({ evidence, fate }) => fate === "dispatched" && evidence === undefined)).toBe(true)
    }).pipe(Effect.scoped)
  )

  it.live("hands on the headers that mirror the parameters of a request", () =>
    Effect.gen(function* () {
      const { client, headers, requests } = yield* connect()
      const call = CallView.call(requests, client)
      yield* Effect.promise(() => call.client.callTool({ name: "echo" }, { headers: { "mcp-param-region": "eu" } }))
      expect([...headers.values()]).toEqual([{ "mcp-param-region": "eu" }])
    }).pipe(Effect.scoped)
  )

  it.live("does not complain of a request that failed", () =>
    Effect.gen(function* () {
      const answering: Answering = (message, signal) =>
        "method" in message && message.method === "tools/call"
          ? Promise.reject(new Error("cut"))
          : server()(message, signal)
      const linked = yield* connect({}, answering)
      const call = CallView.call(linked.requests, linked.client)
      const error = yield* Effect.promise(() => call.client.callTool({ name: "echo" }).catch((error: unknown) => error))
      expect(error).toMatchObject({ message: "cut" })
      expect(call.requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "stream_cut" } }])
      yield* Effect.promise(idle)
      expect(linked.complaints).toEqual([])
    }).pipe(Effect.scoped)
  )
})

describe("the transport's own requests in the modern era", () => {
  it.live("say what the client said of itself, and go past its cache", () =>
    Effect.gen(function* () {
      const linked = yield* connect()
      yield* Effect.promise(() => linked.client.listTools())
      const before = linked.wire.length
      yield* Effect.promise(() => linked.client.listTools())
      expect(linked.wire.length).toBe(before)
      const { evidence } = yield* Ask.ask(linked.requests, { method: "tools/list" })
      expect(evidence).toEqual(Evidence.answered)
      expect(linked.wire.length).toBe(before + 1)
      expect(metaOf(linked.wire.at(-1))).toEqual(metaOf(linked.wire[0]))
      expect(metaOf(linked.wire[0])).toMatchObject({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "vmcp-keepalive" }
      })
    }).pipe(Effect.scoped)
  )

  it.live("say nothing of it in the legacy era, also where it was negotiated", () =>
    Effect.gen(function* () {
      const linked = yield* connect({}, legacy)
      yield* Ask.ask(linked.requests, { method: "ping" })
      expect(linked.wire.at(-1)).not.toHaveProperty("params")
      expect(metaOf(linked.wire[1])).toBe(undefined)
    }).pipe(Effect.scoped)
  )
})

describe("a result that does not say what it is", () => {
  it.live("is an answer, and none of the modern era's", () =>
    Effect.gen(function* () {
      const answering: Answering = async (message, signal) =>
        "method" in message && "id" in message && message.method === "tools/call"
          ? [{ jsonrpc: "2.0", id: message.id, result: { content: [] } }]
          : server()(message, signal)
      const { client, requests } = yield* connect({}, answering)
      const call = CallView.call(requests, client)
      yield* Effect.promise(() => call.client.callTool({ name: "echo" }).catch(() => {}))
      expect(call.requests).toMatchObject([
        { fate: "answered", evidence: { _tag: "TransportFailure", reason: "protocol" } }
      ])
      const legacyLink = yield* connect({ versionNegotiation: { mode: "legacy" } }, answering)
      const old = CallView.call(legacyLink.requests, legacyLink.client)
      yield* Effect.promise(() => old.client.callTool({ name: "echo" }))
      expect(old.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
    }).pipe(Effect.scoped)
  )
})
