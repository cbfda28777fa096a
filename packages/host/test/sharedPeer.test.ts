/** Several hosts of raw messages in one session with a server in this process. */
import { assert, describe, it } from "@effect/vitest"
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Backend } from "@vmcp-keepalive/core"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Exit, Fiber, Scope } from "effect"
import { SharedPeer } from "../src/gateway.ts"
import { errorOf, hello, policy, resultOf, textOf } from "./support.ts"

const text = (text: string) => ({ content: [{ type: "text" as const, text }] })

/** Tools: `echo`, `hang`, `sample` (asks the client), `steps` (progress, when `go` says so), `log`. */
const start = Effect.gen(function* () {
  const met: Array<string> = []
  const looking = new Set<() => void>()
  const meet = (what: string) => {
    met.push(what)
    for (const look of [...looking]) look()
  }
  const untilMet = (what: string, times: number) =>
    Effect.callback<void>((resume) => {
      const look = () => {
        if (met.filter((each) => each === what).length >= times) resume(Effect.void)
      }
      looking.add(look)
      look()
      return Effect.sync(() => looking.delete(look))
    })
  const servers: Array<Server> = []
  const waiting: Array<() => void> = []
  const server = TestServer.make({
    server: () => {
      const made = new Server(
        { name: "test", version: "1" },
        { capabilities: { tools: {}, logging: {}, resources: { subscribe: true } } }
      )
      servers.push(made)
      made.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
        meet(`level ${params.level}`)
        return {}
      })
      made.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
        const answered = params.uri.startsWith("slow:") ? new Promise<object>((go) => waiting.push(() => go({}))) : {}
        meet(`+${params.uri}`)
        return answered
      })
      made.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
        met.push(`-${params.uri}`)
        return {}
      })
      made.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendNotification, sendRequest, signal }) => {
        signal.addEventListener("abort", () => met.push(`aborted ${params.name}`))
        if (params.name === "hang") return new Promise<never>(() => {})
        if (params.name === "sample") {
          const request = { method: "sampling/createMessage" as const, params: { messages: [], maxTokens: 1 } }
          return sendRequest(request, CreateMessageResultSchema).then(
            () => text("answered"),
            (error: unknown) => text(String(error))
          )
        }
        if (params.name === "steps") {
          await new Promise<void>((go) => waiting.push(go))
          const progressToken = params._meta?.progressToken ?? "none"
          await sendNotification({
            method: "notifications/progress",
            params: { progressToken, progress: 1, message: String(params.arguments?.["text"]) }
          })
        }
        return text(String(params.arguments?.["text"]))
      })
      return made
    }
  })
  const backend = yield* Backend.make({ id: "test", connector: server.peerConnector, policy })
  const shared = yield* SharedPeer.make({ backend })
  const say = (notification: Message.Notification) =>
    Effect.promise(async () => servers.at(-1)?.notification(notification))
  return { backend, met, say, server, shared, untilMet, go: () => waiting.splice(0).forEach((go) => go()), waiting }
})

const join = (shared: SharedPeer.SharedPeer) =>
  Effect.gen(function* () {
    const received: Array<Message.Message> = []
    const looking = new Set<() => void>()
    const { take } = yield* shared.open((message) => {
      received.push(message)
      for (const look of [...looking]) look()
    })
    const until = (fits: (message: Message.Message) => boolean) =>
      Effect.callback<Message.Message>((resume) => {
        const look = () => {
          const found = received.find(fits)
          if (found !== undefined) resume(Effect.succeed(found))
        }
        looking.add(look)
        look()
        return Effect.sync(() => looking.delete(look))
      })
    let ids = 0
    const ask = (method: string, params?: Message.Params): Effect.Effect<Message.Answer> =>
      Effect.suspend(() => {
        const id = ids++
        take({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) })
        return Effect.flatMap(
          until((message) => Message.isAnswer(message) && message.id === id),
          (message) => (Message.isAnswer(message) ? Effect.succeed(message) : Effect.never)
        )
      })
    const initialized = yield* ask("initialize", hello)
    take({ jsonrpc: "2.0", method: "notifications/initialized" })
    const told = (method: string) =>
      received.flatMap((message) => ("method" in message && message.method === method ? [message.params] : []))
    return { ask, initialized, received, take, told, until }
  })

const method = (name: string) => (message: Message.Message) => "method" in message && message.method === name

describe("hosts that share a session", () => {
  it.live("initialize with what the server says, and each gets the answers to its own requests", () =>
    Effect.gen(function* () {
      const { server, shared } = yield* start
      const [one, two] = [yield* join(shared), yield* join(shared)]
      for (const { initialized } of [one, two]) {
        assert.deepInclude(resultOf(initialized), { serverInfo: { name: "test", version: "1" } })
      }
      const asked = [one, two].flatMap((host, of) =>
        Array.from({ length: 20 }, (_, at) =>
          Effect.map(host.ask("tools/call", { name: "echo", arguments: { text: `${of}-${at}` } }), textOf)
        )
      )
      const answers = yield* Effect.all(asked, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers,
        [0, 1].flatMap((of) => Array.from({ length: 20 }, (_, at) => `${of}-${at}`))
      )
      assert.strictEqual((yield* server.sessions).made, 1)
    })
  )

  it.live("may use the same progress token: each hears of its own request", () =>
    Effect.gen(function* () {
      const { go, server, shared } = yield* start
      const hosts = [yield* join(shared), yield* join(shared)]
      const asking = yield* Effect.forkChild(
        Effect.forEach(
          hosts,
          ({ ask }, at) =>
            ask("tools/call", { name: "steps", arguments: { text: `${at}` }, _meta: { progressToken: 1 } }),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* server.untilCalled("steps", 2)
      go()
      yield* Fiber.join(asking)
      for (const [at, { told }] of hosts.entries()) {
        assert.deepStrictEqual(told("notifications/progress"), [{ progressToken: 1, progress: 1, message: `${at}` }])
      }
    })
  )

  it.live("are asked nothing: the server gets -32601", () =>
    Effect.gen(function* () {
      const { shared } = yield* start
      const host = yield* join(shared)
      assert.include(textOf(yield* host.ask("tools/call", { name: "sample" })), "-32601")
    })
  )

  it.live("have one subscription of a resource, for as long as one of them has", () =>
    Effect.gen(function* () {
      const { met, say, shared } = yield* start
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(join(shared), scope)
      const [one, two] = [yield* join(shared), yield* join(shared)]
      for (const { ask } of [leaving, one, two]) yield* ask("resources/subscribe", { uri: "a://1" })
      yield* leaving.ask("resources/subscribe", { uri: "b://1" })
      yield* two.ask("resources/unsubscribe", { uri: "a://1" })
      yield* say({ method: "notifications/resources/updated", jsonrpc: "2.0", params: { uri: "a://1" } })
      yield* one.until(method("notifications/resources/updated"))
      assert.deepStrictEqual(two.told("notifications/resources/updated"), [])
      assert.deepStrictEqual(met, ["+a://1", "+b://1"])
      yield* Scope.close(scope, Exit.void)
      yield* one.ask("resources/unsubscribe", { uri: "a://1" })
      assert.deepStrictEqual(met, ["+a://1", "+b://1", "-b://1", "-a://1"])
    })
  )

  it.live("keep the subscription that one of them is about to have, where another gives the same back", () =>
    Effect.gen(function* () {
      const { go, met, say, shared, untilMet, waiting } = yield* start
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(join(shared), scope)
      const [one, two] = [yield* join(shared), yield* join(shared)]
      const uri = "slow://1"
      const subscribing = yield* Effect.forkChild(
        Effect.forEach([leaving, two, one], ({ ask }) => ask("resources/subscribe", { uri }), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* untilMet(`+${uri}`, 3)
      // the server has answered those that give it back, and not yet the one that keeps it
      const [last] = waiting.splice(2)
      go()
      for (const { until } of [leaving, two]) yield* until((message) => Message.isAnswer(message) && message.id === 1)
      yield* two.ask("resources/unsubscribe", { uri })
      yield* Scope.close(scope, Exit.void)
      last?.()
      yield* Fiber.join(subscribing)
      yield* say({ method: "notifications/resources/updated", jsonrpc: "2.0", params: { uri } })
      yield* one.until(method("notifications/resources/updated"))
      yield* one.ask("resources/unsubscribe", { uri })
      assert.deepStrictEqual(met, [`+${uri}`, `+${uri}`, `+${uri}`, `-${uri}`])
    })
  )

  it.live("have the server at the most verbose of their levels, and each what it wants", () =>
    Effect.gen(function* () {
      const { met, say, shared } = yield* start
      const [one, two] = [yield* join(shared), yield* join(shared)]
      yield* one.ask("logging/setLevel", { level: "debug" })
      yield* two.ask("logging/setLevel", { level: "error" })
      assert.strictEqual(errorOf(yield* two.ask("logging/setLevel", { level: "loud" })).code, -32602)
      assert.deepStrictEqual(met, ["level debug"])
      for (const level of ["debug", "error"]) {
        yield* say({ method: "notifications/message", jsonrpc: "2.0", params: { level, data: 1 } })
      }
      yield* two.until(method("notifications/message"))
      assert.deepStrictEqual(two.told("notifications/message"), [{ level: "error", data: 1 }])
      assert.lengthOf(one.told("notifications/message"), 2)
    })
  )

  it.live("are told of a new session, and it of what they have set; a call is executed once", () =>
    Effect.gen(function* () {
      const { met, server, shared, untilMet } = yield* start
      const [one, two] = [yield* join(shared), yield* join(shared)]
      yield* one.ask("resources/subscribe", { uri: "a://1" })
      yield* two.ask("logging/setLevel", { level: "warning" })
      const asking = yield* Effect.forkChild(one.ask("tools/call", { name: "hang" }), { startImmediately: true })
      yield* server.untilCalled("hang")
      yield* server.kill()
      assert.deepInclude(errorOf(yield* Fiber.join(asking)).data, { error: "OutcomeUnknown", executed: "unknown" })
      yield* one.until(method("notifications/resources/updated"))
      yield* two.until(method("notifications/tools/list_changed"))
      assert.deepStrictEqual(two.told("notifications/resources/updated"), [])
      yield* two.ask("tools/call", { name: "echo" })
      yield* untilMet("level warning", 2)
      assert.sameMembers(
        met.filter((each) => !each.startsWith("aborted")),
        ["+a://1", "level warning", "+a://1", "level warning"]
      )
      assert.deepStrictEqual(
        (yield* server.calls).map(({ tool }) => tool),
        ["hang", "echo"]
      )
    })
  )

  it.live("cancel their own requests, and leave no request behind", () =>
    Effect.gen(function* () {
      const { met, server, shared } = yield* start
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(join(shared), scope)
      const host = yield* join(shared)
      for (const { take } of [leaving, host])
        take({ jsonrpc: "2.0", id: "x", method: "tools/call", params: { name: "hang" } })
      yield* server.untilCalled("hang", 2)
      host.take({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "x" } })
      yield* Scope.close(scope, Exit.void)
      yield* host.ask("tools/call", { name: "echo" })
      assert.deepStrictEqual(met, ["aborted hang", "aborted hang"])
    })
  )
})
