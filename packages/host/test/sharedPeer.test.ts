/** Many hosts on one session: what each hears, and that none hears what is another's. */
import { assert, describe, it } from "@effect/vitest"
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ListToolsRequestSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Backend } from "@vmcp-keepalive/core"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Exit, Fiber, Scope } from "effect"
import { SharedPeer } from "../src/index.ts"
import { begin, errorOf, type Host, hosting, policy, resultOf, textOf } from "./support.ts"

/** What the server of a test has met, and its newest session. */
class Ledger {
  readonly clients: Array<unknown> = []
  readonly levels: Array<string> = []
  readonly subscribed: Array<string> = []
  readonly unsubscribed: Array<string> = []
  readonly called: Array<string> = []
  readonly aborted: Array<string> = []
  newest: Server | undefined
}

const text = (text: string) => ({ content: [{ type: "text" as const, text }] })

/** Tools: `echo`, `steps` (tells its progress twice, and logs), `hang` (never answers), `sample` (asks the host). */
const makeServer = (ledger: Ledger) => () => {
  const server = new Server(
    { name: "test", version: "1" },
    { capabilities: { tools: { listChanged: true }, logging: {}, resources: { subscribe: true } } }
  )
  ledger.newest = server
  server.oninitialized = () => ledger.clients.push(server.getClientCapabilities())
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }))
  server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    ledger.levels.push(params.level)
    return {}
  })
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    ledger.subscribed.push(params.uri)
    return {}
  })
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    ledger.unsubscribed.push(params.uri)
    return {}
  })
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendNotification, sendRequest, signal }) => {
    const said = String(params.arguments?.["text"])
    ledger.called.push(said)
    signal.addEventListener("abort", () => ledger.aborted.push(said))
    const progressToken = params._meta?.progressToken
    switch (params.name) {
      case "hang":
        return new Promise<never>(() => {})
      case "steps":
        for (const progress of [1, 2]) {
          if (progressToken === undefined) continue
          await sendNotification({
            method: "notifications/progress",
            params: { progressToken, progress, message: said }
          })
        }
        return text(said)
      case "sample": {
        const request = { method: "sampling/createMessage" as const, params: { messages: [], maxTokens: 1 } }
        return text(String(await sendRequest(request, CreateMessageResultSchema).catch(({ code }) => code)))
      }
      default:
        return text(said)
    }
  })
  return server
}

const start = Effect.gen(function* () {
  const ledger = new Ledger()
  const server = TestServer.make({ server: makeServer(ledger) })
  const backend = yield* Backend.make({ id: "test", connector: server.peerConnector, policy })
  const shared = yield* SharedPeer.make({ backend })
  const join = Effect.tap(
    Effect.map(
      hosting((deliver) => shared.join(deliver)),
      ([host]) => host
    ),
    (host) => begin(host)
  )
  return { ledger, server, backend, join }
})

const call = (name: string, said: string, progressToken?: string) => ({
  name,
  arguments: { text: said },
  ...(progressToken === undefined ? {} : { _meta: { progressToken } })
})

const told = ({ received }: Host, method: string) =>
  received.flatMap((message) => ("method" in message && message.method === method ? [message.params] : []))

describe("one session for many hosts", () => {
  it.live("answers each what it has asked, whatever ids and progress tokens the others use", () =>
    Effect.gen(function* () {
      const { join, ledger, server } = yield* start
      const hosts = [yield* join, yield* join]
      const answers = yield* Effect.forEach(
        hosts,
        (host, index) => host.ask("tools/call", call("steps", `host ${index}`, "same")),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.map(textOf), ["host 0", "host 1"])
      for (const [index, host] of hosts.entries()) {
        assert.deepStrictEqual(told(host, "notifications/progress"), [
          { progressToken: "same", progress: 1, message: `host ${index}` },
          { progressToken: "same", progress: 2, message: `host ${index}` }
        ])
      }
      assert.deepStrictEqual((yield* server.sessions).made, 1)
      assert.deepStrictEqual(ledger.clients, [{}])
    })
  )

  it.live("lets the server ask nobody", () =>
    Effect.gen(function* () {
      const { join } = yield* start
      const host = yield* join
      assert.strictEqual(textOf(yield* host.ask("tools/call", call("sample", "x"))), "-32601")
      assert.deepStrictEqual(told(host, "sampling/createMessage"), [])
    })
  )

  it.live("tells all of a changed list, and of a resource those that have subscribed, also in later sessions", () =>
    Effect.gen(function* () {
      const { backend, join, ledger, server } = yield* start
      const [one, other] = [yield* join, yield* join]
      yield* Effect.forEach([one, other], (host) => host.ask("resources/subscribe", { uri: "test://a" }))
      yield* one.ask("resources/subscribe", { uri: "test://b" })
      yield* one.ask("resources/unsubscribe", { uri: "test://a" })
      assert.deepStrictEqual(ledger.unsubscribed, [])
      yield* Effect.promise(async () => {
        await ledger.newest?.sendToolListChanged()
        await ledger.newest?.sendResourceUpdated({ uri: "test://a" })
        await ledger.newest?.sendResourceUpdated({ uri: "test://b/part" })
      })
      yield* other.untilMethod("notifications/resources/updated")
      yield* one.untilMethod("notifications/resources/updated")
      assert.deepStrictEqual(told(one, "notifications/resources/updated"), [{ uri: "test://b/part" }])
      assert.deepStrictEqual(told(other, "notifications/resources/updated"), [{ uri: "test://a" }])
      for (const host of [one, other]) assert.strictEqual(told(host, "notifications/tools/list_changed").length, 1)

      yield* server.kill()
      yield* backend.awaitConnected
      yield* other.untilMethod("notifications/resources/updated", 2)
      yield* other.untilMethod("notifications/tools/list_changed", 2)
      assert.includeMembers(ledger.subscribed.slice(3), ["test://a", "test://b"])
      yield* other.ask("resources/unsubscribe", { uri: "test://a" })
      assert.deepStrictEqual(ledger.unsubscribed, ["test://a"])
    })
  )

  it.live("logs what the most curious host wants, and each hears its own part", () =>
    Effect.gen(function* () {
      const { backend, join, ledger, server } = yield* start
      const [one, other] = [yield* join, yield* join]
      yield* one.ask("logging/setLevel", { level: "error" })
      yield* other.ask("logging/setLevel", { level: "info" })
      yield* Effect.promise(async () => {
        await ledger.newest?.notification({ method: "notifications/message", params: { level: "info", data: 1 } })
        await ledger.newest?.notification({ method: "notifications/message", params: { level: "alert", data: 2 } })
      })
      yield* other.untilMethod("notifications/message", 2)
      assert.deepStrictEqual(told(one, "notifications/message"), [{ level: "alert", data: 2 }])
      assert.deepStrictEqual(ledger.levels, ["error", "info"])
      yield* server.kill()
      yield* backend.awaitConnected
      while (ledger.levels.length < 3) yield* Effect.sleep("5 millis")
      assert.deepStrictEqual(ledger.levels, ["error", "info", "info"])
    })
  )

  it.live("ends what a host has asked when it leaves, and nothing of the others", () =>
    Effect.gen(function* () {
      const { join, ledger } = yield* start
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(join, scope)
      const staying = yield* join
      yield* leaving.ask("resources/subscribe", { uri: "test://a" })
      leaving.say({ jsonrpc: "2.0", id: "hanging", method: "tools/call", params: call("hang", "leaving") })
      const staysOn = yield* Effect.forkScoped(staying.ask("tools/call", call("hang", "staying")), {
        startImmediately: true
      })
      while (ledger.called.length < 2) yield* Effect.sleep("5 millis")
      yield* Scope.close(scope, Exit.void)
      while (ledger.unsubscribed.length === 0 || ledger.aborted.length === 0) yield* Effect.sleep("5 millis")
      assert.deepStrictEqual([ledger.aborted, ledger.unsubscribed], [["leaving"], ["test://a"]])
      assert.isUndefined(staysOn.pollUnsafe())
      assert.isFalse(leaving.received.some((message) => Message.isAnswer(message) && message.id === "hanging"))
    })
  )

  it.live("calls what may have been executed once, and says so to whoever asked", () =>
    Effect.gen(function* () {
      const { join, ledger, server } = yield* start
      const [one, other] = [yield* join, yield* join]
      const calls = yield* Effect.forkScoped(
        Effect.forEach([one, other], (host) => host.ask("tools/call", call("hang", "x")), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      while (ledger.called.length < 2) yield* Effect.sleep("5 millis")
      yield* server.kill()
      const answers = yield* Fiber.join(calls)
      for (const answer of answers) {
        assert.deepInclude(errorOf(answer).data, { error: "OutcomeUnknown", executed: "unknown", backend: "test" })
      }
      assert.strictEqual(textOf(yield* other.ask("tools/call", call("echo", "after"))), "after")
      assert.deepStrictEqual(ledger.called, ["x", "x", "after"])
      assert.isDefined(resultOf(yield* one.ask("tools/list")))
    })
  )
})
