/** What a server tells of its own accord in the modern era. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { eventually, eventuallyEffect, makeHost, open, run } from "../connector/support.ts"
import { acknowledgment, asked, keep, openThroughProxy, say, scripted, sse } from "./support.ts"

const touch = { name: "touch", arguments: {} }

/** A client that hears of changes, and the names of what it heard. */
const listener = () => {
  const heard: Array<string> = []
  const client = () => {
    const made = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } })
    made.setNotificationHandler("notifications/tools/list_changed", () => void heard.push("tools"))
    made.setNotificationHandler("notifications/resources/list_changed", () => void heard.push("resources"))
    made.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri))
    return made
  }
  return { heard, client }
}

const everything = { toolsListChanged: true, resourcesListChanged: true, resourceSubscriptions: ["note://1"] }

describe("a subscription", { timeout: 60_000 }, () => {
  it.live(
    "is opened again when its stream is cut, and each list and each resource that it is about may have changed then",
    () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2()
        const { client, heard } = listener()
        const { host, proxy, session } = yield* openThroughProxy(server, { client })
        yield* run(session, (view) => view.listen(everything))
        yield* run(session, (view) => view.callTool(touch))
        yield* eventually(() => heard.length === 2)
        assert.deepStrictEqual([...heard].toSorted(), ["note://1", "tools"])
        heard.length = 0
        yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "subscriptions/listen" }, times: 1 }))
        yield* eventually(() => heard.length === 3)
        assert.deepStrictEqual([...heard].toSorted(), ["note://1", "resources", "tools"])
        assert.deepStrictEqual(
          host.notices.map(({ notice }) => notice),
          ["stream_lost", "stream_restored"]
        )
        heard.length = 0
        yield* run(session, (view) => view.callTool(touch))
        yield* eventually(() => heard.length === 2)
        assert.deepStrictEqual([...heard].toSorted(), ["note://1", "tools"])
        assert.deepStrictEqual(host.observed, [])
        assert.deepStrictEqual(host.losses, [])
      }).pipe(Effect.scoped)
  )

  for (const end of ["terminate", "kill"] as const)
    it.live(`outlives its server: ${end}`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2()
        const { client, heard } = listener()
        const { host, session } = yield* openThroughProxy(server, { client })
        yield* run(session, (view) => view.listen(everything))
        yield* server[end]
        yield* eventually(() => host.notices.some(({ notice }) => notice === "stream_lost"))
        yield* server.kill
        yield* server.start
        yield* eventually(() => host.notices.some(({ notice }) => notice === "stream_restored"))
        heard.length = 0
        yield* run(session, (view) => view.callTool(touch))
        yield* eventually(() => heard.length === 2)
      }).pipe(Effect.scoped)
    )

  it.live("that the user closes is closed, and not opened again", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { host, proxy, session } = yield* openThroughProxy(server)
      yield* run(session, async (view) => (await view.listen(everything)).close())
      yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 0))
      yield* run(session, (view) => view.callTool(touch))
      assert.deepStrictEqual(yield* asked(proxy), ["server/discover", "subscriptions/listen", "tools/call"])
      assert.deepStrictEqual(host.notices, [])
    }).pipe(Effect.scoped)
  )

  it.live("is an answered request, whatever becomes of its stream", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { host, proxy, session } = yield* openThroughProxy(server)
      const call = session.call()
      yield* Effect.promise(() => call.client.listen(everything))
      yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "subscriptions/listen" }, times: 1 }))
      yield* eventually(() => host.notices.some(({ notice }) => notice === "stream_restored"))
      assert.deepInclude(call.requests[0], { fate: "answered", evidence: { _tag: "Answered" } })
    }).pipe(Effect.scoped)
  )

  it.live("of `listChanged` is there as soon as the client is connected", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      let lists = 0
      const client = () =>
        new Client(
          { name: "test", version: "1" },
          { listChanged: { tools: { onChanged: () => void lists++, debounceMs: 0 } } }
        )
      const kept = yield* keep(server, { connector: { client } })
      yield* kept.call(touch)
      yield* eventually(() => lists > 0)
    }).pipe(Effect.scoped)
  )
})

const hearing = () =>
  new Client({ name: "test", version: "1" }, { listChanged: { tools: { onChanged: () => {}, autoRefresh: false } } })

describe("a server that does not do its part", { timeout: 30_000 }, () => {
  it.live("and never acknowledges does not keep the client from connecting", () =>
    Effect.gen(function* () {
      const server = yield* scripted((_, __, response) => void response.writeHead(200, sse).flushHeaders())
      const host = makeHost()
      const began = performance.now()
      const { session } = yield* open(HttpConnector.make({ url: server.url, client: hearing }), host)
      assert.isBelow(performance.now() - began, 3000)
      assert.isDefined(session.client.autoOpenedSubscription)
      assert.deepStrictEqual([host.losses, host.observed], [[], []])
    }).pipe(Effect.scoped)
  )

  it.live("and has no room for another subscription is asked again later, and is not dead", () =>
    Effect.gen(function* () {
      let refused = 0
      const server = yield* scripted((_, body, response) => {
        const { id } = JSON.parse(body)
        if (server.began.length === 1) {
          response.writeHead(200, sse).write(say(acknowledgment(id)))
          setTimeout(() => response.destroy(), 50)
        } else if (refused++ === 0) {
          const error = { code: -32603, message: "Subscription limit reached" }
          response
            .writeHead(200, { "content-type": "application/json" })
            .end(JSON.stringify({ jsonrpc: "2.0", id, error }))
        } else response.writeHead(200, sse).write(say(acknowledgment(id)))
      })
      const host = makeHost()
      const { session } = yield* open(HttpConnector.make({ url: server.url, client: hearing }), host)
      yield* eventually(() => host.notices.some(({ notice }) => notice === "stream_restored"))
      assert.strictEqual(refused, 2)
      // each under an id of its own
      assert.strictEqual(new Set(server.began).size, 3)
      assert.deepStrictEqual(host.losses, [])
      assert.isDefined(session.client.autoOpenedSubscription)
    }).pipe(Effect.scoped)
  )

  it.live("and stops writing its comments is doubted, at no cost", () =>
    Effect.gen(function* () {
      const streams: Array<ServerResponse> = []
      const server = yield* scripted((_, body, response) => {
        response.writeHead(200, sse).write(say(acknowledgment(JSON.parse(body).id)))
        streams.push(response)
      })
      const host = makeHost()
      // the client is connected once it has read the acknowledgment
      yield* open(HttpConnector.make({ url: server.url, client: hearing }), host)
      yield* Effect.sleep("100 millis")
      const began = performance.now()
      streams[0]?.write(": here\n\n")
      yield* eventually(() => host.observed.length > 0)
      assert.deepStrictEqual(host.observed, [{ _tag: "TransportFailure", reason: "timeout" }])
      assert.isAbove(performance.now() - began, 2500)
      yield* eventually(() => server.began.length === 2)
    }).pipe(Effect.scoped)
  )
})
