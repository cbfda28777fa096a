/** A client without an SDK, against the SDK's own server. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import {
  CallToolRequestSchema,
  InitializeRequestSchema,
  ListRootsResultSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { Ask, Limits, type Message, Peer, type Requests } from "../src/index.ts"
import { begin, connectAs, idle, linkAs, makeServer, only } from "./support.ts"

const connect = (options?: Peer.Options, server = makeServer()) =>
  connectAs(
    Peer.kind(() => Peer.make(options)),
    server
  )

const call = (name: string): Requests.Question => ({ method: "tools/call", params: { name } })

/** What a promise is rejected with. */
const failure = (promise: Promise<unknown>) =>
  Effect.promise(() =>
    promise.then(
      () => {
        throw new Error("it succeeded")
      },
      (error: unknown) => error
    )
  )

describe("the handshake of a peer", () => {
  it.live("is complete, in order, and tells what the server is", () =>
    Effect.gen(function* () {
      const link = yield* Effect.promise(() => linkAs(Peer.kind()))
      const { client: peer } = link
      expect([peer.server, peer.capabilities]).toEqual([undefined, undefined])
      yield* Effect.promise(() => peer.connect(link.transport))
      expect(link.wire).toEqual([
        {
          jsonrpc: "2.0",
          id: "discover",
          method: "server/discover",
          params: {
            _meta: {
              "io.modelcontextprotocol/protocolVersion": "2026-07-28",
              "io.modelcontextprotocol/clientInfo": { name: "vmcp-keepalive", version: "0.1.0" },
              "io.modelcontextprotocol/clientCapabilities": {}
            }
          }
        },
        {
          jsonrpc: "2.0",
          id: 0,
          method: "initialize",
          params: {
            protocolVersion: "2025-11-25",
            capabilities: {},
            clientInfo: { name: "vmcp-keepalive", version: "0.1.0" }
          }
        },
        { jsonrpc: "2.0", method: "notifications/initialized" }
      ])
      expect(peer.server).toMatchObject({ protocolVersion: "2025-11-25", serverInfo: { name: "test" } })
      expect(peer.capabilities).toEqual({
        resources: { subscribe: true, listChanged: true },
        tools: { listChanged: true }
      })
      expect(link.kind.capabilities(peer)).toBe(peer.capabilities)
      expect(link.requests.handshake).toMatchObject({ method: "initialize", fate: "answered" })
      yield* Effect.promise(() => peer.close())
    })
  )

  it.live("says what the host says that is behind it", () =>
    Effect.gen(function* () {
      const initialize = {
        protocolVersion: "2025-06-18",
        capabilities: { sampling: {} },
        clientInfo: { name: "host", version: "7" }
      }
      const { client: peer, wire } = yield* connect({ initialize })
      expect(wire[1]).toMatchObject({ method: "initialize", params: initialize })
      expect(peer.server?.protocolVersion).toBe("2025-06-18")
    }).pipe(Effect.scoped)
  )

  it.live("that the server refuses, or answers with something else, rejects and sends nothing more", () =>
    Effect.gen(function* () {
      const answers: ReadonlyArray<readonly [() => Record<string, unknown>, object]> = [
        [() => ({ capabilities: {} }), { message: "The server's answer to initialize is none" }],
        [
          () => ({ protocolVersion: "1", capabilities: null }),
          { message: "The server's answer to initialize is none" }
        ],
        [
          () => {
            throw new Error("no")
          },
          { name: "RpcError", code: -32603, message: "no" }
        ]
      ]
      for (const [answer, error] of answers) {
        const server = makeServer()
        server.server.setRequestHandler(InitializeRequestSchema, answer)
        const link = yield* Effect.promise(() => linkAs(Peer.kind(), server))
        expect(yield* failure(link.client.connect(link.transport))).toMatchObject(error)
        expect(link.sent).toEqual(["server/discover", "initialize"])
        expect(link.client.capabilities).toBe(undefined)
        yield* Effect.promise(() => link.client.close())
      }
    })
  )

  it.live("is done once", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      expect(yield* failure(link.client.connect(link.transport))).toMatchObject({ message: "A peer connects once" })
    }).pipe(Effect.scoped)
  )
})

describe("a request of a peer", () => {
  it.live("brings the result as it is", () =>
    Effect.gen(function* () {
      const { client: peer, wire } = yield* connect()
      const result = yield* Effect.promise(() => peer.request(call("echo")))
      expect(result).toEqual({ content: [{ type: "text", text: "echo" }] })
      expect(wire.at(-1)).toEqual({ jsonrpc: "2.0", id: 1, ...call("echo") })
      // what is no error of JSON-RPC's is none here
      expect(yield* Effect.promise(() => peer.request(call("fail")))).toEqual({ content: [], isError: true })
    }).pipe(Effect.scoped)
  )

  it.live("rejects with the server's error, with its code and data", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const unknown = yield* failure(link.client.request({ method: "no/such" }))
      expect(unknown).toBeInstanceOf(Peer.RpcError)
      expect(unknown).toMatchObject({ code: -32601, message: "Method not found", data: undefined })
      const { ended } = begin(link, (peer) => peer.request(call("hang")))
      const error = { code: -32042, message: "go there", data: { url: "https://example.com" } }
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id: only(link.requests).id, error }))
      expect(yield* Effect.promise(() => ended)).toMatchObject(error)
    }).pipe(Effect.scoped)
  )

  it.live("that is aborted rejects with the reason, and the server is told", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const caller = new AbortController()
      const { ended, record } = begin(link, (peer) => peer.request(call("hang"), { signal: caller.signal }))
      const { id } = only(link.requests)
      const reason = new Error("changed my mind")
      caller.abort(reason)
      expect(yield* Effect.promise(() => ended)).toBe(reason)
      expect(link.wire.at(-1)).toEqual({
        jsonrpc: "2.0",
        method: "notifications/cancelled",
        params: { requestId: id }
      })
      expect(record).toMatchObject({ fate: "dispatched", evidence: undefined, settled: true })
      expect(link.released).toEqual(["tools/call"])
      // an answer that crosses it reaches nobody
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", id, result: {} }))
      expect(record).toMatchObject({ fate: "dispatched", evidence: undefined })
    }).pipe(Effect.scoped)
  )

  it.live("that is aborted before is not sent, and one that is settled is not cancelled", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const reason = new Error("too late")
      expect(yield* failure(link.client.request(call("echo"), { signal: AbortSignal.abort(reason) }))).toBe(reason)
      expect(link.sent).not.toContain("tools/call")
      const caller = new AbortController()
      yield* Effect.promise(() => link.client.request(call("echo"), { signal: caller.signal }))
      caller.abort()
      yield* Effect.promise(idle)
      expect(link.sent.at(-1)).toBe("tools/call")
    }).pipe(Effect.scoped)
  )

  it.live("that cannot be sent rejects with the real error", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const broken = new Error("broken pipe")
      link.transmit = () => Promise.reject(broken)
      const { ended, record } = begin(link, (peer) => peer.request(call("echo")))
      expect(yield* Effect.promise(() => ended)).toBe(broken)
      expect(record).toMatchObject({ fate: "unsent", evidence: { reason: "unknown" } })
      expect(yield* failure(link.client.notification({ method: "notifications/x" }))).toBe(broken)
    }).pipe(Effect.scoped)
  )

  it.live("that gets no answer rejects, with the evidence in its record", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended, record } = begin(link, (peer) => peer.request(call("hang")))
      const cut = new Error("cut")
      link.requests.fail(only(link.requests), Evidence.transportFailure("stream_cut"), cut)
      expect(yield* Effect.promise(() => ended)).toBe(cut)
      expect(record).toMatchObject({ fate: "dispatched", evidence: { reason: "stream_cut" } })
    }).pipe(Effect.scoped)
  )
})

describe("what the server asks of a peer", () => {
  it.live("is a ping that is answered, and nothing else, by default", () =>
    Effect.gen(function* () {
      const server = makeServer()
      const link = yield* connect({ initialize: rooted }, server)
      expect(yield* Effect.promise(() => server.server.ping())).toEqual({})
      const roots = server.server.request({ method: "roots/list" }, ListRootsResultSchema)
      expect(yield* failure(roots)).toMatchObject({ code: -32601 })
      yield* Effect.promise(() => link.fromServer({ jsonrpc: "2.0", method: "notifications/message", params: {} }))
      expect(link.wire.slice(3)).toEqual([
        { jsonrpc: "2.0", id: 0, result: {} },
        { jsonrpc: "2.0", id: 1, error: { code: -32601, message: "Method not found" } }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("is answered by who takes its messages: all of them, as they are, in order", () =>
    Effect.gen(function* () {
      const server = makeServer()
      const seen: Array<readonly [Message.Request | Message.Notification, Requests.About]> = []
      const onMessage: NonNullable<Peer.Options["onMessage"]> = (message, about, peer) => {
        seen.push([message, about])
        if ("id" in message) void peer.answer({ jsonrpc: "2.0", id: message.id, result: { roots: [], own: 1 } })
      }
      const link = yield* connect({ initialize: rooted, onMessage }, server)
      const asked = { jsonrpc: "2.0", id: "s-1", method: "x/y", params: { _meta: { own: true }, a: [1] } } as const
      const told = { jsonrpc: "2.0", method: "notifications/z", params: { b: null } } as const
      yield* Effect.promise(() => link.fromServer(told))
      yield* Effect.promise(() => link.fromServer(asked))
      // as a transport does that tells streams apart
      link.requests.received(told, { relatedRequestId: 7 })
      expect(seen).toEqual([
        [told, {}],
        [asked, {}],
        [told, { relatedRequestId: 7 }]
      ])
      expect(link.wire.at(-1)).toEqual({ jsonrpc: "2.0", id: "s-1", result: { roots: [], own: 1 } })
      const roots = server.server.request({ method: "roots/list" }, ListRootsResultSchema)
      expect(yield* Effect.promise(() => roots)).toMatchObject({ roots: [] })
      expect(seen.at(-1)?.[0]).toMatchObject({ method: "roots/list" })
      // no answer is among them
      yield* Effect.promise(() => link.client.request(call("echo")))
      expect(seen.length).toBe(4)
    }).pipe(Effect.scoped)
  )
})

/** The parameters of a host that has roots. */
const rooted: Message.Params = {
  protocolVersion: "2025-11-25",
  capabilities: { roots: {} },
  clientInfo: { name: "host", version: "7" }
}

describe("who listens to a peer that another has made", () => {
  it.live("hears every notification in order until it stops, and the end once; requests are answered as before", () =>
    Effect.gen(function* () {
      const server = makeServer()
      const link = yield* connect({}, server)
      const { client: peer } = link
      const heard: Array<string> = []
      const listener = (name: string): Peer.Listener => ({
        onNotification: ({ method }) => void heard.push(`${name} ${method}`),
        onClose: () => void heard.push(`${name} end`)
      })
      peer.listen(listener("one"))
      const stop = peer.listen(listener("other"))
      yield* Effect.promise(() => server.server.sendToolListChanged())
      expect(heard).toEqual(["one notifications/tools/list_changed", "other notifications/tools/list_changed"])
      const asked = server.server.request({ method: "roots/list" }, ListRootsResultSchema)
      expect(yield* failure(asked)).toMatchObject({ code: -32601 })
      yield* Effect.promise(() => server.server.ping())
      stop()
      yield* Effect.promise(() => server.server.sendResourceListChanged())
      yield* Effect.promise(() => peer.close())
      expect(heard.slice(2)).toEqual(["one notifications/resources/list_changed", "one end"])
      peer.listen(listener("late"))
      expect(heard.at(-1)).toBe("late end")
    }).pipe(Effect.scoped)
  )
})

describe("what a handler of the user's throws", () => {
  const thrower = () => {
    throw new Error("mine")
  }

  it.live("keeps no notification from those who listen, and no end", () =>
    Effect.gen(function* () {
      const link = yield* connect({ onMessage: thrower, onClose: thrower })
      const heard: Array<string> = []
      link.client.listen({ onNotification: thrower, onClose: thrower })
      link.client.listen({
        onNotification: ({ method }) => void heard.push(method),
        onClose: () => void heard.push("end")
      })
      expect(() => link.requests.received({ jsonrpc: "2.0", method: "notifications/x" })).toThrow("mine")
      expect(yield* failure(link.client.close())).toMatchObject({ message: "mine" })
      expect(heard).toEqual(["notifications/x", "end"])
    })
  )

  it.live("keeps no answer from who asked", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { ended } = begin(link, (peer) => peer.request(call("hang"), { onAnswer: thrower }))
      const answer = { jsonrpc: "2.0", id: only(link.requests).id, result: { content: [] } } as const
      expect(() => link.requests.received(answer)).toThrow("mine")
      expect(yield* Effect.promise(() => ended)).toEqual({ content: [] })
    }).pipe(Effect.scoped)
  )
})

describe("the end of a peer", () => {
  it.live("rejects what is under way, is told once, and sends nothing more", () =>
    Effect.gen(function* () {
      const ended: Array<Peer.Peer> = []
      const link = yield* connect({ onClose: (peer) => void ended.push(peer) })
      const { client: peer } = link
      const one = begin(link, (view) => view.request(call("hang")))
      const other = peer.request(call("hang")).catch((error: unknown) => error)
      yield* Effect.promise(() => peer.close())
      yield* Effect.promise(() => peer.close())
      const over = { message: "The session has ended" }
      expect(yield* Effect.promise(() => one.ended)).toMatchObject(over)
      expect(yield* Effect.promise(() => other)).toMatchObject(over)
      expect(one.record).toMatchObject({ fate: "dispatched", evidence: { reason: "closed" }, settled: true })
      const sent = link.wire.length
      const notConnected = { message: "Not connected" }
      expect(yield* failure(peer.request(call("echo")))).toMatchObject(notConnected)
      expect(yield* failure(peer.notification({ method: "notifications/x" }))).toMatchObject(notConnected)
      expect(yield* failure(peer.answer({ jsonrpc: "2.0", id: 1, result: {} }))).toMatchObject(notConnected)
      expect(link.wire.length).toBe(sent)
      expect(ended).toEqual([peer])
    }).pipe(Effect.scoped)
  )

  it.live("is the same when the server ends it", () =>
    Effect.gen(function* () {
      const server = makeServer()
      const link = yield* connect({}, server)
      const { ended, record } = begin(link, (peer) => peer.request(call("hang")))
      yield* Effect.promise(() => server.close())
      expect(yield* Effect.promise(() => ended)).toMatchObject({ message: "The session has ended" })
      expect(record).toMatchObject({ fate: "dispatched", evidence: { reason: "closed" }, settled: true })
    }).pipe(Effect.scoped)
  )

  it.live("needs no beginning", () =>
    Effect.gen(function* () {
      const peer = Peer.make()
      expect(yield* failure(peer.request(call("echo")))).toMatchObject({ message: "Not connected" })
      yield* Effect.promise(() => peer.close())
    })
  )
})

describe("a peer as one call sees it", () => {
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  it.live("records every request, and only its own", () =>
    Effect.gen(function* () {
      const { client: peer, kind, requests } = yield* connect()
      const view = kind.call(requests, peer)
      const other = kind.call(requests, peer)
      yield* Effect.promise(() => view.client.request(call("echo")))
      yield* Effect.promise(() => view.client.request({ method: "ping" }))
      yield* Effect.promise(() => peer.request({ method: "ping" }))
      expect(view.requests).toMatchObject([
        { method: "tools/call", tool: "echo", fate: "answered", settled: true },
        { method: "ping", fate: "answered", settled: true }
      ])
      expect(other.requests).toEqual([])
      view.end()
      expect(yield* failure(view.client.request({ method: "ping" }))).toMatchObject({
        message: expect.stringContaining("The call is over")
      })
      expect(view.requests.length).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.live("is the peer in every other respect", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { client: view } = link.kind.call(link.requests, link.client)
      expect(view.server).toBe(link.client.server)
      expect(view.capabilities).toBe(link.client.capabilities)
      yield* Effect.promise(() => view.notification({ method: "notifications/x", params: { a: 1 } }))
      expect(link.wire.at(-1)).toEqual({ jsonrpc: "2.0", method: "notifications/x", params: { a: 1 } })
    }).pipe(Effect.scoped)
  )

  it.live("adds the traceparent of the call, beside what the caller put into `_meta`", () =>
    Effect.gen(function* () {
      const server = makeServer()
      const metas: Array<unknown> = []
      server.server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
        metas.push(params._meta)
        return { content: [] }
      })
      const { client: peer, kind, requests } = yield* connect({}, server)
      const { client: view } = kind.call(requests, peer, traceparent)
      const kept = (_meta: Record<string, unknown>) => ({ method: "tools/call", params: { name: "keep", _meta } })
      yield* Effect.promise(() => view.request(call("keep")))
      yield* Effect.promise(() => view.request(kept({ own: 1, progressToken: "p" })))
      yield* Effect.promise(() => view.request(kept({ traceparent: "the caller's" })))
      yield* Effect.promise(() => peer.request(call("keep")))
      expect(metas).toEqual([
        { traceparent },
        { traceparent, own: 1, progressToken: "p" },
        { traceparent: "the caller's" },
        undefined
      ])
    }).pipe(Effect.scoped)
  )

  it.live("leaves a transport what it asks on its own account", () =>
    Effect.gen(function* () {
      const { client: peer, kind, requests } = yield* connect()
      expect(yield* Ask.probe(requests, { _tag: "ping" })).toEqual({ _tag: "Answered" })
      const tools = yield* Ask.list(requests, kind.capabilities(peer), Limits.defaults, "tools")
      expect(tools.map(({ name }) => name)).toEqual(["echo", "fail", "hang"])
    }).pipe(Effect.scoped)
  )
})
