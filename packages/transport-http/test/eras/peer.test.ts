/** A peer on servers of both eras: to who uses it, all of them are of the legacy one. */
import { assert, describe, it } from "@effect/vitest"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Fault, type McpServer, McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import { HttpPeerConnector, Peer } from "../../src/peer.ts"
import { eventually, eventuallyEffect, makeHost, open, run, serve } from "../connector/support.ts"
import { asked } from "../sdk2/support.ts"
import { hello, keepPeer, openPeer, person, text } from "./support.ts"

const call = (name: string, args: object = {}, meta?: object) => ({
  method: "tools/call",
  params: { name, arguments: args, ...(meta === undefined ? {} : { _meta: { ...meta } }) }
})

describe("a peer finds out the era of its server:", { timeout: 60_000 }, () => {
  it.live("a modern one is asked one question, and is seen in the shape of `initialize`", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "modern" })
      const { proxy, session } = yield* openPeer(server)
      assert.deepStrictEqual([session.era, session.stateful], ["modern", false])
      const { client } = session.call()
      assert.strictEqual(client.era, "modern")
      assert.deepInclude(client.server, {
        protocolVersion: "2025-11-25",
        serverInfo: { name: "sdk2", version: "1.0.0" }
      })
      assert.deepInclude(client.capabilities, { tools: { listChanged: true } })
      yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "subscriptions/listen")
      assert.deepStrictEqual(yield* asked(proxy), ["server/discover", "subscriptions/listen"])
    }).pipe(Effect.scoped)
  )

  const servers = {
    "of the legacy era": { start: McpServers.sdk2({ era: "legacy" }), era: "legacy" },
    "of both eras": { start: McpServers.sdk2({ era: "dual" }), era: "modern" },
    "the reference server": { start: McpServers.everything, era: "legacy" },
    mcpProxy: { start: McpServers.mcpProxy({ backend: "small" }), era: "modern" }
  } as const
  for (const [name, { era, start }] of Object.entries(servers))
    it.live(`${era}: ${name}`, () =>
      Effect.gen(function* () {
        const server: McpServer.McpServer = yield* start
        const { session } = yield* openPeer(server)
        assert.strictEqual(session.era, era)
        const { arguments: args, name } = server.echo("hi")
        const { result } = yield* run(session, (client) => client.request(call(name, args)))
        assert.include(text(result), "hi")
      }).pipe(Effect.scoped)
    )

  for (const [era, refused] of [
    ["legacy", "modern"],
    ["modern", "legacy"]
  ] as const)
    it.live(`where it is told to speak the ${era} one, a server of the other alone does not open a session`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: refused })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(openPeer(server, { era }))))
        const both = yield* McpServers.sdk2({ era: "dual" })
        assert.strictEqual((yield* openPeer(both, { era })).session.era, era)
        const made = () => Peer.make({ era })
        assert.strictEqual((yield* openPeer(both, { peer: made })).session.era, era)
      }).pipe(Effect.scoped)
    )

  for (const status of [400, 404, 405, 408, 422, 429, 500, 503])
    it.live(`one bad answer does not make a server of both eras a legacy one: ${status}`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: "dual" })
        const kept = yield* keepPeer(server, {}, (proxy) =>
          proxy.inject(Fault.Answer({ status, body: "<html>no</html>", on: { rpc: "server/discover" }, times: 1 }))
        )
        assert.strictEqual(yield* kept.era, "modern")
      }).pipe(Effect.scoped)
    )

  it.live("that it is legacy is remembered where it keeps a session", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const host = makeHost()
      const { close, proxy } = yield* openPeer(server, {}, host)
      yield* close
      assert.isDefined(host.era?.legacyUntil)
      yield* Effect.scoped(HttpPeerConnector.make({ url: `${proxy.url}/mcp` }).open(host))
      const questions = (yield* asked(proxy)).filter((method) => method === "server/discover")
      assert.strictEqual(questions.length, 1)
    }).pipe(Effect.scoped)
  )

  for (const supported of [["2027-01-01"], ["2025-11-25"]])
    it.live(
      `one that refuses the revision in favour of ${supported} is asked in its own, where that is known here`,
      () =>
        Effect.gen(function* () {
          const sent: Array<string> = []
          const server = yield* serve((_, body, response) => {
            const { id, method } = body === "" ? { id: 0, method: "GET" } : JSON.parse(body)
            sent.push(method)
            const error = { code: -32022, message: "no", data: { supported, requested: "2026-07-28" } }
            if (method !== "server/discover") response.writeHead(404).end()
            else
              response
                .writeHead(400, { "content-type": "application/json" })
                .end(JSON.stringify({ jsonrpc: "2.0", id, error }))
          })
          yield* Effect.exit(open(HttpPeerConnector.make({ url: server.url })))
          const isKnown = supported[0] === "2025-11-25"
          assert.deepStrictEqual(sent, isKnown ? ["server/discover", "initialize"] : ["server/discover"])
        }).pipe(Effect.scoped)
    )
})

describe("a server of the modern era is to a peer's user as one of the legacy era:", { timeout: 60_000 }, () => {
  it.live("it asks, and the call that it is asked in goes on with the answer, under the key of the question", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { answers, peer } = person({ name: "Ada" })
      const { session } = yield* openPeer(server, { peer })
      const ended = yield* run(session, (client) => client.request(call("ask"), { id: 7 }))
      assert.include(text(ended.result), "hello Ada")
      assert.deepStrictEqual(answers, [["elicitation/create", 7]])
      assert.deepStrictEqual(
        ended.requests.map(({ fate, method, tool }) => [method, tool, fate]),
        [
          ["tools/call", "ask", "answered"],
          ["tools/call", "ask", "answered"]
        ]
      )
      const sampled = yield* run(session, (client) => client.request(call("sample")))
      assert.include(text(sampled.result), "sampled here")
    }).pipe(Effect.scoped)
  )

  it.live("where its question is refused, the call fails with the words of the refusal", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { session } = yield* openPeer(server, { peer: () => Peer.make({ initialize: hello }) })
      const { result } = yield* run(session, (client) => client.request(call("ask")))
      assert.include(String(Exit.isFailure(result) && result.cause), "Method not found")
    }).pipe(Effect.scoped)
  )

  it.live("whose call is taken back while it asks cancels what it has asked", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const heard: Array<Message.Message> = []
      const peer = () => Peer.make({ initialize: hello, onMessage: (message) => void heard.push(message) })
      const { session } = yield* openPeer(server, { peer })
      const calling = yield* Effect.forkChild(run(session, (client, signal) => client.request(call("ask"), { signal })))
      yield* eventually(() => heard.length > 0)
      yield* Fiber.interrupt(calling)
      yield* eventually(() => heard.length === 2)
      const [question, cancelled] = heard
      assert(question !== undefined && cancelled !== undefined && Message.isRequest(question))
      assert.strictEqual(Message.cancelled(cancelled), question.id)
    }).pipe(Effect.scoped)
  )

  it.live("a second leg that dies is of unknown outcome, and the call is not made again", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { peer } = person({ name: "Ada" })
      const kept = yield* keepPeer(server, { peer })
      const calling = yield* Effect.forkChild(kept.backend.use((client) => client.request(call("ask", { ms: 20_000 }))))
      yield* eventuallyEffect(Effect.map(server.executions, (all) => all.length === 2))
      yield* server.kill
      assert.strictEqual((yield* Effect.flip(Fiber.join(calling)))._tag, "OutcomeUnknown")
      yield* server.start
      assert.strictEqual(yield* kept.era, "modern")
      const ran = yield* server.executions
      assert.deepStrictEqual(
        ran.map(({ tool }) => tool),
        ["ask", "ask", "echo"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("one that asks without an end is asked ten times, and no more", () =>
    Effect.gen(function* () {
      let legs = 0
      const server = yield* serve((_, body, response) => {
        const { id, method } = JSON.parse(body)
        if (method === "tools/call") legs++
        const capabilities = { tools: {} }
        const result =
          method === "server/discover"
            ? { resultType: "complete", supportedVersions: ["2026-07-28"], capabilities }
            : { resultType: "input_required", inputRequests: {}, requestState: String(legs) }
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(JSON.stringify({ jsonrpc: "2.0", id, result }))
      })
      const { session } = yield* open(HttpPeerConnector.make({ url: server.url }))
      const { result } = yield* run(session, (client) => client.request(call("again")))
      assert.isTrue(Exit.isFailure(result))
      assert.strictEqual(legs, 10)
    }).pipe(Effect.scoped)
  )

  it.live("it tells of its lists and of the resources that are subscribed to, also after its stream was cut", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { heard, peer } = person({})
      const { host, proxy, session } = yield* openPeer(server, { peer })
      const subscribe = { method: "resources/subscribe", params: { uri: "note://1" } }
      const { result } = yield* run(session, (client) => client.request(subscribe))
      assert.deepStrictEqual(result, Exit.succeed({}))
      assert.deepStrictEqual([...host.subscriptions], ["note://1"])
      const changes = ["notifications/tools/list_changed", "notifications/resources/updated"]
      const touched = Effect.gen(function* () {
        heard.length = 0
        yield* run(session, (client) => client.request(call("touch")))
        yield* eventually(() => changes.every((change) => heard.some(({ method }) => method === change)))
      })
      yield* touched
      assert.isTrue(heard.every(({ params }) => params?._meta === undefined))
      heard.length = 0
      yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "subscriptions/listen" }, times: 1 }))
      yield* eventually(() => heard.some(({ method }) => method === "notifications/tools/list_changed"))
      yield* touched
      const unsubscribe = { method: "resources/unsubscribe", params: { uri: "note://1" } }
      yield* run(session, (client) => client.request(unsubscribe))
      assert.strictEqual(host.subscriptions.size, 0)
    }).pipe(Effect.scoped)
  )

  it.live("what was subscribed to is subscribed to in the next session, whatever its era", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { heard, peer } = person({})
      const host = makeHost(["note://1"])
      const { session } = yield* openPeer(server, { peer }, host)
      yield* eventuallyEffect(
        Effect.gen(function* () {
          yield* run(session, (client) => client.request(call("touch")))
          return heard.some(({ method }) => method === "notifications/resources/updated")
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("it logs from the level on that was set, and before that nothing", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { heard, peer } = person({})
      const { proxy, session } = yield* openPeer(server, { peer })
      const log = (level: string) => run(session, (client) => client.request(call("log", { level })))
      const logged = () => heard.filter(({ method }) => method === "notifications/message").map(({ params }) => params)
      yield* log("error")
      const set = { method: "logging/setLevel", params: { level: "info" } }
      const { result } = yield* run(session, (client) => client.request(set))
      assert.deepStrictEqual(result, Exit.succeed({}))
      yield* log("debug")
      yield* log("error")
      yield* eventually(() => logged().length > 0)
      assert.deepStrictEqual(
        logged().map((params) => params?.["level"]),
        ["error"]
      )
      assert.notInclude(yield* asked(proxy), "logging/setLevel")
    }).pipe(Effect.scoped)
  )

  it.live(
    "a ping is its own question, progress comes with its request, and a call that nobody awaits holds no socket",
    () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2()
        const { abouts, heard, peer } = person({})
        const { proxy, session } = yield* openPeer(server, { peer })
        const { result } = yield* run(session, (client) => client.request({ method: "ping" }))
        assert.deepStrictEqual(result, Exit.succeed({}))
        yield* run(session, (client) =>
          client.request(call("slow", { ms: 500 }, { progressToken: "mine" }), { id: 40 })
        )
        const progress = heard.filter(({ method }) => method === "notifications/progress")
        assert.isAtLeast(progress.length, 2)
        assert.isTrue(progress.every(({ params }) => params?.["progressToken"] === "mine"))
        assert.include(abouts, 40)
        yield* Effect.forEach(
          Array.from({ length: 20 }),
          () =>
            Effect.timeoutOption(
              run(session, (client, signal) => client.request(call("slow", { ms: 20_000 }), { signal })),
              "300 millis"
            ),
          { concurrency: "unbounded" }
        )
        // that of the subscription
        yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 1))
        assert.notInclude(yield* asked(proxy), "notifications/cancelled")
      }).pipe(Effect.scoped)
  )

  it.live("an argument that it wants in a header is there, also before its tools were listed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { proxy, session } = yield* openPeer(server)
      for (const region of ["eu west", "Zürich"]) {
        const { result } = yield* run(session, (client) => client.request(call("headed", { region })))
        assert.include(text(result), `in ${region}`)
      }
      const methods = (yield* asked(proxy)).filter((method) => method.startsWith("tools/"))
      assert.deepStrictEqual(methods, ["tools/call", "tools/list", "tools/call", "tools/call"])
      assert.strictEqual((yield* server.executions).length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("what is no object is said as text, and has no schema", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { session } = yield* openPeer(server)
      const { result } = yield* run(session, (client) => client.request(call("three")))
      assert.deepStrictEqual(Exit.isSuccess(result) && result.value["structuredContent"], undefined)
      assert.include(text(result), "[1,2,3]")
      const listed = yield* run(session, (client) => client.request({ method: "tools/list" }))
      assert.notInclude(text(listed.result), "outputSchema")
      assert.notInclude(text(listed.result), "resultType")
    }).pipe(Effect.scoped)
  )

  it.live("what is handed on for a client of the modern era is as the server has said it", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const { answers, peer } = person({ name: "Ada" })
      const { session } = yield* openPeer(server, { peer })
      const leg = (more: object) => ({
        method: "tools/call",
        params: Peer.handOn({ name: "ask", arguments: {}, ...more }, hello)
      })
      const first = yield* run(session, (client) => client.request(leg({})))
      assert(Exit.isSuccess(first.result))
      assert.strictEqual(first.result.value["resultType"], "input_required")
      assert.deepStrictEqual(Object.keys(Object(first.result.value["inputRequests"])), ["name"])
      const inputResponses = { name: { action: "accept", content: { name: "Eve" } } }
      const second = yield* run(session, (client) => client.request(leg({ inputResponses })))
      assert.include(text(second.result), "hello Eve")
      assert.deepStrictEqual(answers, [])
      // and is the matter of the server alone that has asked
      const legacy = yield* McpServers.sdk2({ era: "legacy" })
      const other = yield* openPeer(legacy)
      const refused = yield* run(other.session, (client) => client.request(leg({ inputResponses })))
      assert.isTrue(Exit.isFailure(refused.result))
      assert.deepStrictEqual(yield* legacy.executions, [])
    }).pipe(Effect.scoped)
  )
})

describe("a server that changes its era behind its URL", { timeout: 90_000 }, () => {
  for (const [from, to, expected] of [
    ["modern", "legacy", "legacy"],
    ["legacy", "modern", "modern"],
    ["dual", "legacy", "legacy"],
    ["legacy", "dual", "modern"]
  ] as const)
    it.live(`from ${from} to ${to} and back: every call of a peer runs once`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: from })
        const kept = yield* keepPeer(server)
        const before = yield* kept.era
        if (from === "legacy") yield* kept.proxy.awaitRequest(({ method }) => method === "GET")
        yield* kept.become(server, to)
        assert.strictEqual(yield* kept.era, expected)
        yield* kept.become(server, from)
        assert.strictEqual(yield* kept.era, before)
        assert.strictEqual((yield* server.executions).length, 3)
      }).pipe(Effect.scoped)
    )
})
