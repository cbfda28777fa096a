/** The endpoint on the router of an app, with a server of the app's own. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client"
import { Fleet } from "@vmcp-keepalive/core"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { HttpPeerTransport, type Peer } from "@vmcp-keepalive/transport-http/peer"
import { Context, Effect, Layer, Option, Redacted, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { afterEach, vi } from "vitest"
import { Endpoint, Gateway } from "../../src/index.ts"
import { commented } from "../../src/internal/endpoint/comments.ts"
import { scripted } from "../modern/scripted.ts"

const start = (options: Partial<Endpoint.Options> = {}) =>
  Effect.gen(function* () {
    const fleet = yield* Effect.provide(Fleet.make<Peer.Peer>(), HttpPeerTransport.layer())
    const world = scripted()
    const gateway = Gateway.Gateway.of({
      open: (deliver) =>
        Effect.map(
          Effect.acquireRelease(
            Effect.promise(() => world.open(deliver)),
            ({ close }) => Effect.promise(close)
          ),
          ({ take }) => ({ take })
        ),
      show: () => Effect.void,
      operate: () => Effect.succeed(Option.none()),
      calls: Stream.empty,
      conflicts: Effect.succeed([])
    })
    const app = HttpRouter.add("GET", "/own", Effect.succeed(HttpServerResponse.text("the app's own")))
    const built = yield* Layer.build(
      HttpRouter.serve(Layer.mergeAll(app, Endpoint.layer({ fleet, ...options })), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
        Layer.provide(Layer.succeed(Gateway.Gateway, gateway))
      )
    )
    const origin = HttpServer.formatAddress(Context.get(built, HttpServer.HttpServer).address)
    const statusOf = (path: string, init: RequestInit = {}) =>
      Effect.promise(async () => {
        const response = await fetch(`${origin}${path}`, init)
        await response.body?.cancel()
        return response.status
      })
    return { ...world, origin, mcp: new URL(`${origin}/mcp`), statusOf }
  })

const json = { "content-type": "application/json", accept: "application/json, text/event-stream" }
const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { ...json, ...headers },
  body
})
const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" })

afterEach(() => {
  vi.useRealTimers()
})

describe("an endpoint on an app's own server", () => {
  it.live("serves clients of both eras beside the app's own routes", () =>
    Effect.gen(function* () {
      const { asked, connections, mcp, statusOf } = yield* start()
      assert.strictEqual(yield* statusOf("/own"), 200)
      assert.strictEqual(yield* statusOf("/healthz"), 200)
      assert.strictEqual(yield* statusOf("/readyz"), 200)
      const called = (at: number, listing: Promise<unknown>) =>
        Effect.promise(async () => {
          const { id } = await asked(at, "tools/list")
          connections[at]?.says({ jsonrpc: "2.0", id, result: { tools: [] } })
          return listing
        })
      const legacy = new Client({ name: "legacy", version: "1" })
      yield* Effect.promise(() => legacy.connect(new StreamableHTTPClientTransport(mcp) as Transport))
      assert.deepStrictEqual(yield* called(0, legacy.listTools()), { tools: [] })
      yield* Effect.promise(() => legacy.close())
      const modern = new ModernClient({ name: "modern", version: "1" })
      modern.setVersionNegotiation({ mode: "auto" })
      yield* Effect.promise(() => modern.connect(new ModernTransport(mcp)))
      assert.strictEqual(modern.getProtocolEra(), "modern")
      const listing = modern.listTools()
      // the first one of that era hears what belongs to no request
      assert.deepInclude(yield* called(2, listing), { tools: [] })
      yield* Effect.promise(() => modern.close())
    })
  )

  it.live("refuses what a server of its own refuses", () =>
    Effect.gen(function* () {
      const { connections, statusOf } = yield* start({ token: Redacted.make("secret") })
      const bearer = { authorization: "Bearer secret" }
      assert.strictEqual(yield* statusOf("/mcp", post(ping)), 401)
      assert.strictEqual(yield* statusOf("/mcp", post(ping, { ...bearer, origin: "http://evil.example" })), 403)
      assert.strictEqual(yield* statusOf("/healthz", { headers: { origin: "http://evil.example" } }), 403)
      assert.strictEqual(yield* statusOf("/mcp", post(ping, { ...bearer, "mcp-session-id": "forged" })), 404)
      assert.strictEqual(yield* statusOf("/mcp", post("x", bearer)), 400)
      assert.strictEqual(yield* statusOf("/mcp", post(" ".repeat(16 * 1024 * 1024 + 1), bearer)), 413)
      // short enough, and seconds to parse
      assert.strictEqual(yield* statusOf("/mcp", post(`[${"{},".repeat(1_000_000)}{}]`, bearer)), 413)
      assert.strictEqual(yield* statusOf("/mcp", { method: "PUT", headers: { ...json, ...bearer }, body: ping }), 405)
      assert.strictEqual(connections.length, 0)
    })
  )

  it.live("cancels what a client has asked that goes", () =>
    Effect.gen(function* () {
      const { asked, connections, mcp, until } = yield* start()
      const client = new Client({ name: "legacy", version: "1" })
      yield* Effect.promise(() => client.connect(new StreamableHTTPClientTransport(mcp) as Transport))
      const calling = client.callTool({ name: "a" }).catch(() => {})
      const { id } = yield* Effect.promise(() => asked(0, "tools/call"))
      // its sockets close, and nothing is said
      yield* Effect.promise(() => client.close())
      yield* Effect.promise(() =>
        until(() =>
          connections[0]?.taken.find((each) => "method" in each && !("id" in each) && Message.cancelled(each) === id)
        )
      )
      yield* Effect.promise(() => calling)
    })
  )
})

describe("an event stream", () => {
  it("has a comment for each 15 s in which its reader has waited, and no other", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    let source: ReadableStreamDefaultController<Uint8Array> | undefined
    let cancelled: unknown
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (source = controller),
      cancel: (reason) => void (cancelled = reason)
    })
    const reader = commented(body).getReader()
    const send = (text: string) => source?.enqueue(new TextEncoder().encode(text))
    const next = async () => new TextDecoder().decode((await reader.read()).value)
    send("a")
    assert.strictEqual(await next(), "a")
    for (let at = 0; at < 2; at++) {
      const waiting = next()
      await vi.advanceTimersByTimeAsync(15_000)
      assert.strictEqual(await waiting, ":\n\n")
    }
    const waiting = next()
    await vi.advanceTimersByTimeAsync(14_999)
    send("b")
    assert.strictEqual(await waiting, "b")
    const left = reader.read()
    await reader.cancel("gone")
    assert.isTrue((await left).done)
    await new Promise((resolve) => setImmediate(resolve))
    assert.strictEqual(cancelled, "gone")
    assert.strictEqual(vi.getTimerCount(), 0)
  })
})
