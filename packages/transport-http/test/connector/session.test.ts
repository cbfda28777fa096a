/** A session from its opening to its end. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { NodeHttpClient } from "@effect/platform-node"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import { Fault, FaultProxy, Leftovers, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { HttpConnector } from "../../src/index.ts"
import {
  eventually,
  eventuallyEffect,
  initializeResult,
  makeHost,
  measured,
  open,
  openThroughProxy,
  run,
  serve
} from "./support.ts"

const { Control, Reaction } = ScriptedServer

const handlersOf = (client: object): number => {
  const handlers: unknown = Reflect.get(client, "_responseHandlers")
  return handlers instanceof Map ? handlers.size : Number.NaN
}

describe("a session", () => {
  for (const [name, start, stateful] of [
    ["server-everything", McpServers.everything, true],
    ["mcp-proxy", McpServers.mcpProxy({ backend: "small" }), true],
    ["supergateway", McpServers.supergateway({ backend: "small" }), true],
    ["supergateway without sessions", McpServers.supergateway({ backend: "small", stateful: false }), false],
    ["Effect's server", McpServers.effectMcp, true]
  ] as const) {
    it.live(`opens, answers, lists its tools and ends with ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* start
        const { close, host, proxy, session } = yield* openThroughProxy(server)
        expect(session.stateful).toBe(stateful)
        expect(session.era).toBe("legacy")
        expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
        expect(yield* session.probe({ _tag: "list-tools" })).toEqual({ _tag: "Answered" })
        expect((yield* session.probe({ _tag: "discover" }))._tag).toMatch(/ErrorAnswer|Refused|Answered/)
        expect((yield* session.probe({ _tag: "options" }))._tag).toMatch(/Answered|Refused/)
        const tool = { _tag: "tool", ...server.echo("x") } as const
        expect(yield* session.probe(tool)).toEqual({ _tag: "Answered" })
        expect((yield* session.list("tools")).map(({ name: found }) => found)).toContain("echo")
        const { requests, result } = yield* run(session, (client) => client.callTool(server.echo("hello")))
        expect(JSON.stringify(result)).toContain("hello")
        expect(requests).toMatchObject([{ method: "tools/call", tool: "echo", fate: "answered" }])
        expect(host.bytesSeen()).toBeGreaterThan(5)
        yield* close
        const { byMethod } = yield* proxy.stats
        expect(byMethod["DELETE"] ?? 0).toBe(stateful ? 1 : 0)
        yield* eventuallyEffect(Effect.map(proxy.stats, ({ openConnections: left }) => left === 0))
        expect(host.losses).toEqual([])
        expect(host.observed).toEqual([])
      }).pipe(Effect.scoped)
    )
  }

  it.live("leaves no socket, no timer and no rejection when it ends, whatever was under way", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const leftovers = yield* Leftovers.make()
      const rejections: Array<unknown> = []
      const onRejection = (error: unknown) => void rejections.push(error)
      process.on("unhandledRejection", onRejection)
      const { close, session } = yield* open(HttpConnector.make({ url: server.url }))
      const calls = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(run(session, (client) => client.callTool(server.slow(30))))
      )
      yield* eventuallyEffect(
        Effect.map(server.stats, ({ byRpcMethod, streams }) => byRpcMethod["tools/call"] === 3 && streams === 1)
      )
      const began = performance.now()
      yield* close
      for (const call of calls) {
        const { requests, result } = yield* Fiber.join(call)
        expect(Exit.isFailure(result)).toBe(true)
        expect(requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "closed" } }])
      }
      expect(performance.now() - began).toBeLessThan(500)
      yield* eventuallyEffect(Effect.map(server.stats, ({ sockets }) => sockets === 0))
      measured("sockets of a closed session gone after", performance.now() - began)
      yield* leftovers.check
      expect((yield* server.stats).deletes).toBe(1)
      expect(handlersOf(session.client)).toBe(0)
      yield* Effect.sleep("100 millis")
      process.off("unhandledRejection", onRejection)
      expect(rejections).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("ends within about a second before a frozen server", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { close } = yield* openThroughProxy(server)
      yield* server.freeze
      const began = performance.now()
      yield* close
      expect(performance.now() - began).toBeLessThan(1300)
      yield* server.thaw
    }).pipe(Effect.scoped)
  )

  it.live("is terminated also where a status has said that it is unknown: the one who said so may be a proxy", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ getStream: false })
      const { close, session } = yield* openThroughProxy(server)
      yield* server.control(Control.ExpireSessions())
      expect(yield* session.probe({ _tag: "ping" })).toMatchObject({ status: 404, withSession: true })
      yield* close
      expect((yield* server.stats).byMethod["DELETE"]).toBe(1)
    }).pipe(Effect.scoped)
  )

  it.live("that was opened only half is terminated too", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("notifications/initialized", Reaction.Hang())
      const attempt = Effect.scoped(HttpConnector.make({ url: server.url }).open(makeHost()))
      const opening = yield* Effect.forkChild(attempt)
      yield* eventuallyEffect(
        Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["notifications/initialized"] === 1)
      )
      yield* Fiber.interrupt(opening)
      expect((yield* server.stats).sessions).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live(
    "is terminated also where it was given up before its id was known, by whoever answers the handshake in time",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const proxy = yield* FaultProxy.make({ target: { port: server.port } })
        yield* proxy.inject(Fault.Delay({ on: { rpc: "initialize" }, each: "200 millis" }))
        const attempt = Effect.scoped(HttpConnector.make({ url: `${proxy.url}/mcp` }).open(makeHost()))
        const opening = yield* Effect.forkChild(attempt)
        yield* eventuallyEffect(Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["initialize"] === 1))
        yield* Fiber.interrupt(opening)
        expect(yield* server.stats).toMatchObject({ sessions: 0, deletes: 1 })
      }).pipe(Effect.scoped)
  )

  it.live("carries the credentials that were read last, and reads them again for every session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer 1" })
      let token = 0
      const connector = HttpConnector.make({
        url: server.url,
        headers: Effect.sync(() => ({ authorization: Redacted.make(`Bearer ${++token}`) }))
      })
      const { session } = yield* open(connector)
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      yield* server.control(Control.Configure({ behaviour: { authorization: "Bearer 2" } }))
      expect(yield* session.probe({ _tag: "ping" })).toMatchObject({ _tag: "Refused", status: 401 })
      expect(yield* session.probe({ _tag: "options" })).toMatchObject({ _tag: "Refused", status: 401 })
      yield* session.refresh
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect(yield* session.probe({ _tag: "options" })).toEqual({ _tag: "Answered" })
      yield* server.control(Control.Configure({ behaviour: { authorization: "Bearer 3" } }))
      yield* open(connector)
    }).pipe(Effect.scoped)
  )

  it.live("fails with reason auth where the credentials cannot be read, and keeps the old ones on refresh", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer 1" })
      let broken: Effect.Effect<never, Error> | undefined = Effect.fail(new Error("no token"))
      const connector = HttpConnector.make({
        url: server.url,
        headers: Effect.suspend(() => broken ?? Effect.succeed({ authorization: "Bearer 1" }))
      })
      expect(yield* Effect.flip(open(connector))).toMatchObject({
        _tag: "TransportFailure",
        reason: "auth",
        detail: { summary: undefined, output: expect.arrayContaining([expect.stringContaining("no token")]) }
      })
      broken = undefined
      const { session } = yield* open(connector)
      for (const failure of [Effect.fail(new Error("no token")), Effect.die(new Error("a defect")), Effect.interrupt]) {
        broken = failure
        yield* session.refresh
        expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      }
    }).pipe(Effect.scoped)
  )

  it.live("carries the token of its OAuth provider on every kind of request, and reports its rejection", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer token" })
      const authProvider: OAuthClientProvider = {
        redirectUrl: undefined,
        clientMetadata: { redirect_uris: [] },
        clientInformation: () => undefined,
        tokens: () => ({ access_token: "token", token_type: "Bearer" }),
        saveTokens: () => {},
        redirectToAuthorization: () => {},
        saveCodeVerifier: () => {},
        codeVerifier: () => ""
      }
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider }))
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect(yield* session.probe({ _tag: "options" })).toEqual({ _tag: "Answered" })
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      yield* server.control(Control.Configure({ behaviour: { authorization: "Bearer other" } }))
      expect(yield* session.probe({ _tag: "ping" })).toMatchObject({ _tag: "Refused", status: 401 })
      expect(handlersOf(session.client)).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("subscribes again to what its backend's users have subscribed to", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const host = makeHost(["demo://resource/static/document/features.md", "demo://gone"])
      const { proxy, session } = yield* openThroughProxy(server, {}, host)
      expect((yield* proxy.stats).byRpcMethod["resources/subscribe"]).toBe(2)
      // The set is the host's own: what calls change in it is subscribed to next time.
      yield* run(session, (client) => client.unsubscribeResource({ uri: "demo://gone" }))
      expect([...host.subscriptions]).not.toContain("demo://gone")
    }).pipe(Effect.scoped)
  )

  it.live("cannot be opened where a subscription meets a failure of the transport", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const failing = openThroughProxy(
        server,
        {
          fetch: (url, init) =>
            String(init?.body).includes("resources/subscribe")
              ? Promise.reject(new TypeError("fetch failed", { cause: { code: "ECONNRESET" } }))
              : fetch(url, init)
        },
        makeHost(["demo://x"])
      )
      expect(yield* Effect.flip(failing)).toMatchObject({ reason: "reset", code: "ECONNRESET" })
    }).pipe(Effect.scoped)
  )

  it.live("says so when somebody closes its client", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { host, session } = yield* openThroughProxy(server)
      yield* Effect.promise(() => session.client.close())
      expect(host.losses).toEqual(["closed"])
    }).pipe(Effect.scoped)
  )

  for (const [name, layer] of [
    ["FetchHttpClient", FetchHttpClient.layer],
    ["NodeHttpClient on undici", NodeHttpClient.layerUndici],
    ["NodeHttpClient on node:http", NodeHttpClient.layerNodeHttp]
  ] as const) {
    it.live(`works over Effect's HttpClient (${name})`, () =>
      Effect.gen(function* () {
        const fetch = yield* HttpConnector.fetchFromHttpClient
        const server = yield* ScriptedServer.make()
        const { close, proxy, session } = yield* openThroughProxy(server, { fetch })
        const { result } = yield* run(session, (client) => client.callTool(server.echo("hello")))
        expect(JSON.stringify(result)).toContain("hello")
        const call = yield* Effect.forkChild(run(session, (client) => client.callTool(server.slow(30))))
        yield* eventuallyEffect(Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["tools/call"] === 2))
        const { at } = yield* (yield* proxy.inject(Fault.Reset({ on: { rpc: "tools/call" }, times: 1 }))).struck
        const { at: ended, requests } = yield* Fiber.join(call)
        expect(ended - at).toBeLessThan(100)
        expect(requests[0]?.evidence).toMatchObject({ _tag: "TransportFailure" })
        yield* close
        yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 0))
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})

describe("a call", () => {
  it.live("knows nothing of a caller's own abort and deadline, and frees their sockets", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server)
      yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 1))
      const deadline = yield* run(session, (client) => client.callTool(server.slow(30), undefined, { timeout: 100 }))
      expect(deadline.requests).toMatchObject([{ fate: "dispatched", evidence: undefined }])
      const call = session.call()
      const fiber = yield* Effect.forkChild(
        Effect.tryPromise((signal) => call.client.callTool(server.slow(30), undefined, { signal }))
      )
      yield* eventuallyEffect(Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["tools/call"] === 2))
      yield* Fiber.interrupt(fiber)
      expect(call.requests).toMatchObject([{ fate: "dispatched", evidence: undefined }])
      yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 1))
      // The server was told.
      yield* eventuallyEffect(
        Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["notifications/cancelled"] === 2)
      )
      expect(handlersOf(session.client)).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("frees its socket, and that of its cancellation, where a frozen server takes neither", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server)
      yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 1))
      yield* server.freeze
      yield* Effect.forEach(
        [1, 2, 3, 4, 5],
        () => run(session, (client) => client.callTool(server.slow(30), undefined, { timeout: 100 })),
        { concurrency: 5 }
      )
      yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 1)).pipe(
        Effect.timeout("2 seconds")
      )
      yield* server.thaw
    }).pipe(Effect.scoped)
  )
})

describe("a probe", () => {
  it.live("that is interrupted frees its socket at once: 20 of them leave none", () =>
    Effect.gen(function* () {
      let hung = 0
      const server = yield* serve((request, body, response) => {
        if (request.method === "GET") return void response.writeHead(405).end()
        const { id, method } = body === "" ? {} : JSON.parse(body)
        if (method === "initialize")
          return void response.writeHead(200, { "content-type": "application/json" }).end(initializeResult(id))
        if (method?.startsWith("notifications/")) return void response.writeHead(202).end()
        hung++
      })
      const { session } = yield* open(HttpConnector.make({ url: server.url }))
      for (let i = 0; i < 20; i++) {
        const probe = yield* Effect.forkChild(session.probe({ _tag: i % 2 === 0 ? "ping" : "options" }))
        yield* eventually(() => hung === i + 1)
        yield* Fiber.interrupt(probe)
      }
      // Nothing was told to the server, and what is left is the idle connection of the handshake.
      yield* eventually(() => server.sockets() <= 1)
      expect(hung).toBe(20)
      expect(handlersOf(session.client)).toBe(0)
    }).pipe(Effect.scoped)
  )
})
