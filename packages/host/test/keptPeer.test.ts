/** A host of raw messages on a server in this process, and what goes wrong with that. */
import { assert, describe, it } from "@effect/vitest"
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ListRootsResultSchema,
  ListToolsRequestSchema,
  RootsListChangedNotificationSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { BackendError } from "@vmcp-keepalive/core"
import { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Deferred, Effect, Exit, Fiber, Schedule, Scope } from "effect"
import { ErrorAnswer, KeptPeer } from "../src/index.ts"
import { errorOf, hello, initialized, policy, quiet, resultOf, textOf } from "./support.ts"

/** What the servers of a test have met. */
class Ledger {
  /** capabilities and version of each client, in order of the sessions */
  readonly clients: Array<unknown> = []
  readonly levels: Array<string> = []
  readonly subscribed: Array<string> = []
  readonly aborted: Array<string> = []
  readonly answers: Array<unknown> = []
  rootsChanged = 0
}

const text = (text: string) => ({ content: [{ type: "text" as const, text }] })

/** Tools: `echo`, `hang` (never answers), `sample` (asks the host), `roots` (asks the host). */
const makeServer = (ledger: Ledger) => () => {
  const server = new Server(
    { name: "test", version: "1" },
    { capabilities: { tools: {}, logging: {}, resources: { subscribe: true } } }
  )
  server.oninitialized = () => ledger.clients.push([server.getClientVersion(), server.getClientCapabilities()])
  server.setNotificationHandler(RootsListChangedNotificationSchema, () => void ledger.rootsChanged++)
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: ["echo", "hang", "sample", "roots"].map((name) => ({ name, inputSchema: { type: "object" as const } }))
  }))
  server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    ledger.levels.push(params.level)
    return {}
  })
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    ledger.subscribed.push(params.uri)
    return {}
  })
  server.setRequestHandler(UnsubscribeRequestSchema, () => ({}))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendRequest, signal }) => {
    signal.addEventListener("abort", () => ledger.aborted.push(params.name))
    switch (params.name) {
      case "hang":
        return new Promise<never>(() => {})
      case "sample": {
        const request = { method: "sampling/createMessage" as const, params: { messages: [], maxTokens: 1 } }
        const answer = await sendRequest(request, CreateMessageResultSchema)
        ledger.answers.push(answer.content)
        return text(JSON.stringify(answer.content))
      }
      case "roots": {
        const { roots } = await sendRequest({ method: "roots/list" }, ListRootsResultSchema)
        return text(roots.map(({ uri }) => uri).join())
      }
      default:
        return text(String(params.arguments?.["text"]))
    }
  })
  return server
}

const start = Effect.sync(() => {
  const ledger = new Ledger()
  const server = TestServer.make({ server: makeServer(ledger) })
  const options = { id: "test", connector: server.peerConnector, policy } satisfies KeptPeer.Options
  return { ledger, server, options }
})

const echo = (text: string) => ({ name: "echo", arguments: { text } })
const sampled = { role: "assistant", model: "m", content: { type: "text", text: "sampled" } }

describe("a kept connection", () => {
  it.live("initializes each session with the host's own words, and the host once", () =>
    Effect.gen(function* () {
      const { ledger, options, server } = yield* start
      const host = yield* initialized(options)
      assert.strictEqual(textOf(yield* host.ask("tools/call", echo("1"))), "1")
      yield* server.kill()
      assert.strictEqual(textOf(yield* host.ask("tools/call", echo("2"))), "2")
      const words = [hello["clientInfo"], hello["capabilities"]]
      assert.deepStrictEqual(ledger.clients, [words, words])
      assert.deepStrictEqual((yield* server.sessions).made, 2)
    })
  )

  it.live("asks later sessions for the version that the host was told of", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      const host = yield* quiet(options)
      const { protocolVersion } = resultOf(yield* host.ask("initialize", { ...hello, protocolVersion: "2024-11-05" }))
      assert.strictEqual(protocolVersion, "2024-11-05")
      yield* server.kill()
      yield* host.kept.backend.awaitConnected
      const later = yield* host.kept.backend.use((peer) => Promise.resolve(peer.server?.protocolVersion))
      assert.strictEqual(later, protocolVersion)
    })
  )

  it.live("tells the host that every list may change, whatever the server says of it", () =>
    Effect.gen(function* () {
      const { options } = yield* start
      const { capabilities } = resultOf(yield* (yield* quiet(options)).ask("initialize", hello))
      assert.deepStrictEqual(capabilities, {
        tools: { listChanged: true },
        logging: {},
        resources: { subscribe: true, listChanged: true }
      })
    })
  )

  it.live("after each later session tells the host that lists and subscribed resources may have changed, once", () =>
    Effect.gen(function* () {
      const { ledger, options, server } = yield* start
      const host = yield* initialized(options)
      yield* host.ask("resources/subscribe", { uri: "test://a" })
      yield* host.ask("resources/subscribe", { uri: "test://b" })
      yield* host.ask("resources/unsubscribe", { uri: "test://b" })
      yield* host.ask("logging/setLevel", { level: "warning" })
      assert.deepStrictEqual(
        host.received.filter((message) => "method" in message),
        []
      )
      yield* server.kill()
      yield* host.untilMethod("notifications/resources/updated")
      assert.deepStrictEqual(
        host.received.filter((message) => "method" in message),
        [
          { jsonrpc: "2.0", method: "notifications/tools/list_changed" },
          { jsonrpc: "2.0", method: "notifications/resources/list_changed" },
          { jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri: "test://a" } }
        ]
      )
      // and the server what the host has set
      assert.deepStrictEqual(ledger.levels, ["warning", "warning"])
      assert.deepStrictEqual(ledger.subscribed, ["test://a", "test://b", "test://a"])
    })
  )

  it.live("a server that does not know log levels any more is a session like another", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      let made = 0
      const server = TestServer.make({
        server: () => {
          if (++made === 1) return makeServer(ledger)()
          return new Server({ name: "other", version: "2" }, { capabilities: { tools: {} } })
        }
      })
      const host = yield* initialized({ id: "test", connector: server.peerConnector, policy })
      yield* host.ask("logging/setLevel", { level: "warning" })
      yield* server.kill()
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual((yield* host.kept.backend.state)._tag, "Connected")
      assert.strictEqual((yield* server.sessions).attempts, 2)
    })
  )
})

describe("a call", () => {
  it.live(
    "whose server dies is answered with an error that says that its outcome is unknown, and is executed once",
    () =>
      Effect.gen(function* () {
        const { options, server } = yield* start
        const host = yield* initialized(options)
        const asking = yield* Effect.forkChild(host.ask("tools/call", { name: "hang" }))
        yield* server.untilCalled("hang")
        yield* server.kill()
        const { code, data } = errorOf(yield* Fiber.join(asking))
        assert.strictEqual(code, ErrorAnswer.codes.OutcomeUnknown)
        assert.deepInclude(data, { error: "OutcomeUnknown", executed: "unknown", reason: "process_exit" })
        assert.strictEqual(textOf(yield* host.ask("tools/call", echo("after"))), "after")
        assert.deepStrictEqual(
          (yield* server.calls).map(({ tool }) => tool),
          ["hang", "echo"]
        )
      })
  )

  it.live("gets the server's own error untouched", () =>
    Effect.gen(function* () {
      const { options } = yield* start
      const host = yield* initialized(options)
      assert.strictEqual(errorOf(yield* host.ask("prompts/list")).code, -32601)
      assert.isUndefined(errorOf(yield* host.ask("x/y")).data)
    })
  )

  it.live(
    "that the host cancels is cancelled at the server, gets no answer, and leaves session and other calls alone",
    () =>
      Effect.gen(function* () {
        const { ledger, options, server } = yield* start
        const host = yield* initialized(options)
        const controller = new AbortController()
        host.say({ jsonrpc: "2.0", id: "a", method: "tools/call", params: { name: "hang" } })
        host.say({ jsonrpc: "2.0", id: "b", method: "tools/call", params: { name: "hang" } }, controller.signal)
        host.say({ jsonrpc: "2.0", id: "c", method: "tools/call", params: { name: "hang" } })
        yield* server.untilCalled("hang", 3)
        host.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "a", reason: "no more" } })
        controller.abort()
        // ids that are not under way, or are none
        for (const requestId of ["a", "x", 7, undefined]) {
          host.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } })
        }
        assert.strictEqual(textOf(yield* host.ask("tools/call", echo("after"))), "after")
        assert.deepStrictEqual(ledger.aborted, ["hang", "hang"])
        assert.strictEqual((yield* server.sessions).made, 1)
        yield* server.kill()
        const c = yield* host.until((message): message is Message.ErrorAnswer => "error" in message)
        assert.strictEqual(c.id, "c")
        assert.deepStrictEqual(
          host.received.filter((message) => "id" in message && (message.id === "a" || message.id === "b")),
          []
        )
      })
  )

  it.live("whose signal was aborted before is not sent", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      const host = yield* initialized(options)
      host.say({ jsonrpc: "2.0", id: "a", method: "tools/call", params: echo("never") }, AbortSignal.abort())
      assert.strictEqual(textOf(yield* host.ask("tools/call", echo("after"))), "after")
      assert.strictEqual((yield* server.calls).length, 1)
    })
  )
})

describe("what a server asks the host", () => {
  it.live("is asked and answered, also by servers of later sessions", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      const host = yield* initialized(options)
      for (const times of [1, 2]) {
        const asking = yield* Effect.forkChild(host.ask("tools/call", { name: "sample" }))
        const request = yield* host.untilMethod("sampling/createMessage", times)
        assert.isTrue("id" in request)
        if ("id" in request) host.say({ jsonrpc: "2.0", id: request.id, result: sampled })
        const answer = yield* Fiber.join(asking)
        assert.strictEqual(textOf(answer), JSON.stringify(sampled.content))
        yield* server.kill()
      }
    })
  )

  it.live("is cancelled when its session ends, and the late answer does not reach the next session", () =>
    Effect.gen(function* () {
      const { ledger, options, server } = yield* start
      const host = yield* initialized(options)
      const lost = yield* Effect.forkChild(host.ask("tools/call", { name: "sample" }))
      const request = yield* host.untilMethod("sampling/createMessage")
      yield* server.kill()
      const cancelled = yield* host.untilMethod("notifications/cancelled")
      if (!("id" in request)) throw new Error("a notification")
      assert.strictEqual(cancelled.params?.["requestId"], request.id)
      yield* Fiber.join(lost)
      // The next session asks with the same id on the wire.
      const next = yield* Effect.forkChild(host.ask("tools/call", { name: "sample" }))
      const again = yield* host.untilMethod("sampling/createMessage", 2)
      if (!("id" in again)) throw new Error("a notification")
      assert.notStrictEqual(again.id, request.id)
      const late = { ...sampled, content: { type: "text", text: "late" } }
      host.say({ jsonrpc: "2.0", id: request.id, result: late })
      host.say({ jsonrpc: "2.0", id: again.id, result: sampled })
      assert.strictEqual(textOf(yield* Fiber.join(next)), JSON.stringify(sampled.content))
      assert.deepStrictEqual(ledger.answers, [sampled.content])
    })
  )

  it.live("is held until the host has said that it is initialized, in order", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      const asked = yield* Deferred.make<void>()
      const server = TestServer.make({
        server: () => {
          const made = makeServer(ledger)()
          made.oninitialized = async () => {
            await made.sendLoggingMessage({ level: "info", data: 1 })
            void made.listRoots().catch(() => {})
            await made.sendLoggingMessage({ level: "info", data: 2 })
            Deferred.doneUnsafe(asked, Effect.void)
          }
          return made
        }
      })
      const host = yield* quiet({ id: "test", connector: server.peerConnector, policy })
      yield* host.ask("initialize", hello)
      yield* Deferred.await(asked)
      yield* host.ask("ping")
      assert.deepStrictEqual(
        host.received.filter((message) => "method" in message),
        []
      )
      host.say({ jsonrpc: "2.0", method: "notifications/initialized" })
      yield* host.untilMethod("notifications/message", 2)
      assert.deepStrictEqual(
        host.received.flatMap((message) => ("method" in message ? [message.method] : [])),
        ["notifications/message", "roots/list", "notifications/message"]
      )
    })
  )

  it.live("still hears the host where the session that was to replace its own did not come about", () =>
    Effect.gen(function* () {
      const ledger = new Ledger()
      let made = 0
      const server = TestServer.make({
        server: () => {
          const each = makeServer(ledger)()
          // ends as the host's log level is set on it: open, and not accepted yet
          if (++made === 2) each.setRequestHandler(SetLevelRequestSchema, () => each.close().then(() => ({})))
          return each
        }
      })
      const host = yield* initialized({ id: "test", connector: server.peerConnector, policy })
      yield* host.ask("logging/setLevel", { level: "warning" })
      yield* host.kept.backend.reconnect
      const state = yield* host.kept.backend.state
      assert.deepInclude(state, { _tag: "Connected", generation: 1 })
      assert.strictEqual(made, 2)
      host.say({ jsonrpc: "2.0", method: "notifications/roots/list_changed" })
      yield* host.ask("tools/call", echo("after"))
      assert.strictEqual(ledger.rootsChanged, 1)
    })
  )

  it.live("of notifications of the host's it hears those of its own session", () =>
    Effect.gen(function* () {
      const { ledger, options } = yield* start
      const host = yield* initialized(options)
      host.say({ jsonrpc: "2.0", method: "notifications/roots/list_changed" })
      yield* host.ask("tools/call", echo("after"))
      assert.strictEqual(ledger.rootsChanged, 1)
    })
  )
})

describe("initialize", () => {
  it.live("waits for a server that is down", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      yield* server.refuse()
      const host = yield* quiet(options)
      const asking = yield* Effect.forkChild(host.ask("initialize", hello))
      yield* Effect.repeat(server.sessions, { until: ({ attempts }) => attempts >= 3 })
      yield* server.accept
      assert.property(resultOf(yield* Fiber.join(asking)), "serverInfo")
    })
  )

  it.live("is answered with an error after its time, and can be said again", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      yield* server.refuse()
      const often = { ...policy, backoff: Schedule.spaced("20 millis"), circuit: "none" as const }
      const host = yield* quiet({ ...options, policy: often, initializeTimeout: "500 millis" })
      const { code, data } = errorOf(yield* host.ask("initialize", hello))
      assert.strictEqual(code, ErrorAnswer.codes.SessionUnavailable)
      assert.deepInclude(data, { error: "SessionUnavailable", executed: "no", reason: "refused" })
      yield* server.accept
      assert.property(resultOf(yield* host.ask("initialize", hello)), "serverInfo")
    })
  )

  it.live("that is cancelled can be said again, with other words", () =>
    Effect.gen(function* () {
      const { ledger, options, server } = yield* start
      yield* server.freeze
      const host = yield* quiet(options)
      host.say({ jsonrpc: "2.0", id: "first", method: "initialize", params: hello })
      host.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "first" } })
      yield* server.thaw
      const other = { ...hello, clientInfo: { name: "another host", version: "2" } }
      assert.property(resultOf(yield* host.ask("initialize", other)), "serverInfo")
      assert.deepStrictEqual(ledger.clients.at(-1), [other.clientInfo, hello["capabilities"]])
      assert.isUndefined(host.received.find((message) => "id" in message && message.id === "first"))
    })
  )
})

describe("bad input", () => {
  it.live("is answered, and nothing reaches a server that should not", () =>
    Effect.gen(function* () {
      const { options, server } = yield* start
      const host = yield* quiet(options)
      assert.strictEqual(errorOf(yield* host.ask("tools/call", echo("too early"))).code, -32600)
      assert.strictEqual((yield* server.sessions).attempts, 0)
      yield* host.ask("initialize", hello)
      assert.strictEqual(errorOf(yield* host.ask("initialize", hello)).code, -32600)
      host.say([{ jsonrpc: "2.0", id: 1, method: "tools/call", params: echo("in a batch") }])
      const refused = yield* host.until(
        (message): message is Message.ErrorAnswer => "error" in message && message.id === undefined
      )
      assert.strictEqual(refused.error.code, -32600)
      // answers to nothing
      host.say({ jsonrpc: "2.0", id: "kept-99", result: {} })
      host.say({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: "kept-99", progress: 1 } })
      assert.strictEqual(textOf(yield* host.ask("tools/call", echo("after"))), "after")
      assert.strictEqual((yield* server.calls).length, 1)
      assert.strictEqual((yield* server.sessions).made, 1)
    })
  )

  it.live("wrong settings are told at once, all of them, and nothing starts", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          KeptPeer.make(
            {
              id: "",
              connector: HttpPeerConnector.make({ url: "no url" }),
              policy: { interval: "1 milli" },
              initializeTimeout: "0 seconds"
            },
            () => {}
          )
        )
      )
      assert.instanceOf(error, BackendError.ConfigurationError)
      assert.deepStrictEqual(error.issues.map(({ path }) => path.join(".")).toSorted(), [
        "connector.url",
        "id",
        "initializeTimeout",
        "policy.interval"
      ])
    })
  )

  it.live("a connector with a peer of its own is a wrong setting: the host's handshake would not be replayed", () =>
    Effect.gen(function* () {
      const connector = HttpPeerConnector.make({ url: "http://127.0.0.1:1/mcp", peer: () => Peer.make() })
      const error = yield* Effect.flip(Effect.scoped(KeptPeer.make({ id: "x", connector }, () => {})))
      assert.deepStrictEqual(
        error.issues.map(({ path }) => path),
        [["connector", "peer"]]
      )
    })
  )
})

describe("the end", () => {
  it.live("cancels what the host has asked, answers nothing, and closes the session", () =>
    Effect.gen(function* () {
      const { ledger, options, server } = yield* start
      const scope = yield* Scope.make()
      const host = yield* Scope.provide(initialized(options), scope)
      host.say({ jsonrpc: "2.0", id: "a", method: "tools/call", params: { name: "hang" } })
      yield* server.untilCalled("hang")
      const before = host.received.length
      yield* Scope.close(scope, Exit.void)
      host.say({ jsonrpc: "2.0", id: "b", method: "ping" })
      yield* Effect.sleep("20 millis")
      assert.strictEqual(host.received.length, before)
      assert.deepStrictEqual(ledger.aborted, ["hang"])
      assert.strictEqual((yield* server.sessions).open, 0)
      assert.strictEqual((yield* host.kept.backend.state)._tag, "Closed")
    })
  )
})
