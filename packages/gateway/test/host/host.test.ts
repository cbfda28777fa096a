/** Hosts of raw messages on a gateway in front of servers in this process, each with sessions of its own. */
import { assert, describe, it } from "@effect/vitest"
import { ErrorAnswer } from "@vmcp-keepalive/host"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Duration, Effect, Fiber, Option } from "effect"
import type { Gateway } from "../../src/index.ts"
import {
  errorOf,
  fleetOf,
  gatewayOf,
  hello,
  initialized,
  namesIn,
  policy,
  quiet,
  resultOf,
  textOf
} from "../support.ts"
import { Ledger, type Options, serverOf, tools } from "./support.ts"

const start = Effect.fnUntraced(function* (
  servers: Readonly<Record<string, Options>> = { one: {}, two: {} },
  options: Partial<Gateway.Options> = {}
) {
  const fleet = yield* fleetOf
  const behind: Record<string, { server: ReturnType<typeof serverOf>; ledger: Ledger }> = {}
  for (const [id, each] of Object.entries(servers)) {
    const ledger = new Ledger()
    const server = serverOf(id, ledger, each)
    behind[id] = { server, ledger }
    yield* fleet.add({ id, connector: server.peerConnector, policy })
  }
  const gateway = yield* gatewayOf({ fleet, ...options })
  const of = (id: string) => {
    const found = behind[id]
    if (found === undefined) throw new Error(`no server ${id}`)
    return found
  }
  return { fleet, gateway, of }
})

const isRequest =
  (method: string) =>
  (message: Message.Message): message is Message.Request =>
    "method" in message && "id" in message && message.method === method

describe("names", () => {
  it.live("of several backends begin with the backend's id, and go to whose they are", () =>
    Effect.gen(function* () {
      const { gateway } = yield* start()
      const host = yield* initialized(gateway)
      const listed = namesIn(yield* host.ask("tools/list"), "tools")
      assert.deepStrictEqual(listed, [...tools.map((name) => `one__${name}`), ...tools.map((name) => `two__${name}`)])
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "a" })), "one: a")
      assert.strictEqual(textOf(yield* host.call("two__echo", { text: "b" })), "two: b")
      assert.deepStrictEqual(namesIn(yield* host.ask("prompts/list"), "prompts"), ["one__greet", "two__greet"])
      const prompt = resultOf(yield* host.ask("prompts/get", { name: "two__greet" }))
      assert.strictEqual(prompt["description"], "two/greet")
    })
  )

  it.live("of a backend that is there alone are as they are, and change when another comes", () =>
    Effect.gen(function* () {
      const { fleet, gateway } = yield* start({ one: {} })
      const host = yield* initialized(gateway)
      assert.deepStrictEqual(namesIn(yield* host.ask("tools/list"), "tools"), tools)
      assert.strictEqual(textOf(yield* host.call("echo", { text: "a" })), "one: a")
      yield* fleet.add({ id: "two", connector: serverOf("two", new Ledger()).peerConnector, policy })
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual(textOf(yield* host.call("two__echo", { text: "b" })), "two: b")
      assert.strictEqual(errorOf(yield* host.call("echo")).code, -32602)
      yield* fleet.remove("two")
      yield* host.untilMethod("notifications/tools/list_changed", 2)
      assert.strictEqual(textOf(yield* host.call("echo", { text: "c" })), "one: c")
    })
  )

  it.live("that nobody has are answered with -32602, tools that are not shown as well", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      yield* gateway.show(new Map([["one", { tools: { exclude: ["echo"] } }]]))
      const host = yield* initialized(gateway)
      assert.strictEqual(errorOf(yield* host.call("one__echo")).code, -32602)
      assert.strictEqual(errorOf(yield* host.call("one__nothing")).code, -32602)
      assert.strictEqual(errorOf(yield* host.call("echo")).code, -32602)
      assert.notInclude(namesIn(yield* host.ask("tools/list"), "tools"), "one__echo")
      yield* gateway.show(new Map([["two", { tools: { include: ["echo"] } }]]))
      yield* host.untilMethod("notifications/tools/list_changed")
      const listed = namesIn(yield* host.ask("tools/list"), "tools")
      assert.deepStrictEqual(listed, ["two__echo", ...tools.map((name) => `one__${name}`)])
      assert.strictEqual(errorOf(yield* host.call("two__log")).code, -32602)
      assert.deepStrictEqual(yield* of("two").server.calls, [])
    })
  )
})

describe("what a host asks", () => {
  it.live("is answered by the gateway where it is about the connection", () =>
    Effect.gen(function* () {
      const { gateway } = yield* start({ one: { instructions: "first" }, two: { instructions: "second" } })
      const host = yield* quiet(gateway)
      assert.strictEqual(errorOf(yield* host.ask("tools/list")).code, -32600)
      const result = resultOf(yield* host.ask("initialize", { ...hello, protocolVersion: "2025-06-18" }))
      assert.strictEqual(result["protocolVersion"], "2025-06-18")
      assert.strictEqual(result["instructions"], "# one\n\nfirst\n\n# two\n\nsecond")
      assert.deepStrictEqual(Object.keys(Object(result["capabilities"])).toSorted(), [
        "completions",
        "logging",
        "prompts",
        "resources",
        "tools"
      ])
      assert.deepStrictEqual(resultOf(yield* host.ask("ping")), {})
      assert.strictEqual(errorOf(yield* host.ask("x/y")).code, -32601)
      assert.strictEqual(errorOf(yield* host.ask("tasks/get", { taskId: "1" })).code, -32601)
      assert.strictEqual(errorOf(yield* host.ask("tools/list", { cursor: "1" })).code, -32602)
    })
  )

  it.live("reaches servers that know the host's own words", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      assert.strictEqual(textOf(yield* host.call("two__echo", { text: "1" })), "two: 1")
      assert.deepStrictEqual(of("two").ledger.clients.at(-1), [hello["clientInfo"], hello["capabilities"]])
    })
  )

  it.live("about resources goes to whose they are: by URI, by template, by a link in a result", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start({
        one: { resources: ["a://1", "both://1"], templates: ["one://{id}"] },
        two: { resources: ["both://1", "b://1"], templates: ["two://{id}/x"] }
      })
      const host = yield* initialized(gateway)
      assert.deepStrictEqual(namesIn(yield* host.ask("resources/list"), "resources", "uri"), [
        "a://1",
        "both://1",
        "b://1"
      ])
      const listed = yield* host.ask("resources/templates/list")
      assert.deepStrictEqual(namesIn(listed, "resourceTemplates", "uriTemplate"), ["one://{id}", "two://{id}/x"])
      assert.deepStrictEqual(yield* gateway.conflicts, [{ uri: "both://1", shown: "one", hidden: "two" }])
      const read = (uri: string) =>
        Effect.map(host.ask("resources/read", { uri }), (answer) => namesIn(answer, "contents", "text")[0])
      assert.strictEqual(yield* read("both://1"), "one")
      assert.strictEqual(yield* read("b://1"), "two")
      assert.strictEqual(yield* read("two://7/x"), "two")
      const { code, data } = errorOf(yield* host.ask("resources/read", { uri: "linked://two" }))
      assert.deepStrictEqual([code, data], [-32002, { uri: "linked://two" }])
      yield* host.call("two__link")
      assert.strictEqual(yield* read("linked://two"), "two")

      yield* host.ask("resources/subscribe", { uri: "b://1" })
      yield* host.ask("resources/unsubscribe", { uri: "b://1" })
      assert.deepStrictEqual([of("two").ledger.subscribed, of("two").ledger.unsubscribed], [["b://1"], ["b://1"]])

      const ref = { type: "ref/prompt", name: "two__greet" }
      const completed = yield* host.ask("completion/complete", { ref, argument: { name: "x", value: "" } })
      assert.deepStrictEqual(resultOf(completed)["completion"], { values: ["two"] })
      const template = { type: "ref/resource", uri: "one://{id}" }
      yield* host.ask("completion/complete", { ref: template, argument: { name: "id", value: "" } })
      assert.deepStrictEqual(
        [of("two").ledger.completed, of("one").ledger.completed],
        [[{ type: "ref/prompt", name: "greet" }], [template]]
      )
    })
  )

  it.live("is cancelled where it was sent, and not answered", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      host.say({ jsonrpc: "2.0", id: "c", method: "tools/call", params: { name: "one__hang", arguments: {} } })
      yield* of("one").server.untilCalled("hang")
      host.say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "c" } })
      const abort = new AbortController()
      host.say({ jsonrpc: "2.0", id: "d", method: "tools/call", params: { name: "two__hang" } }, abort.signal)
      yield* of("two").server.untilCalled("hang")
      abort.abort()
      yield* host.call("one__echo")
      yield* host.call("two__echo")
      assert.deepStrictEqual([of("one").ledger.aborted, of("two").ledger.aborted], [["hang"], ["hang"]])
      assert.isFalse(host.received.some((message) => "id" in message && (message.id === "c" || message.id === "d")))
    })
  )

  it.live("beyond a thousand requests under way is refused, and nothing of it executed", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      for (let at = 0; at < 1000; at++) {
        host.say({ jsonrpc: "2.0", id: at, method: "tools/call", params: { name: "one__hang" } })
      }
      const refused = resultOf(yield* host.call("two__echo"))
      assert.isTrue(refused["isError"])
      assert.deepInclude(Object(refused["_meta"])["vmcp-keepalive"], { reason: "overloaded", executed: "no" })
      assert.strictEqual(errorOf(yield* host.ask("tools/list")).code, ErrorAnswer.codes.CallRejected)
      assert.deepStrictEqual(yield* of("two").server.calls, [])
    })
  )
})

describe("what servers say", () => {
  it.live("reaches the host that asked: progress before the answer, and logs with the backend's name", () =>
    Effect.gen(function* () {
      const { gateway } = yield* start()
      const host = yield* initialized(gateway)
      const params = { name: "two__steps", arguments: { text: "x" }, _meta: { progressToken: 7 } }
      assert.strictEqual(textOf(yield* host.ask("tools/call", params)), "two")
      yield* host.call("one__log")
      const told = host.received.filter((message) => "method" in message && !message.method.endsWith("list_changed"))
      assert.deepStrictEqual(
        told.map((message) => "method" in message && message.params),
        [
          { progressToken: 7, progress: 1, message: "x" },
          { progressToken: 7, progress: 2, message: "x" },
          { level: "warning", logger: "one/inner", data: "one" }
        ]
      )
    })
  )

  it.live("may be questions, whose answers go back to who asked", () =>
    Effect.gen(function* () {
      const { gateway } = yield* start()
      const host = yield* initialized(gateway)
      const one = yield* Effect.forkChild(host.call("one__sample"), { startImmediately: true })
      const two = yield* Effect.forkChild(host.call("two__elicit"), { startImmediately: true })

      const sampling = yield* host.until(isRequest("sampling/createMessage"))
      const elicitation = yield* host.until(isRequest("elicitation/create"))
      assert.notStrictEqual(sampling.id, elicitation.id)
      assert.strictEqual(elicitation.params?.["message"], "two")
      host.say({ jsonrpc: "2.0", id: elicitation.id, result: { action: "decline" } })
      const content = { type: "text", text: "sampled" }
      host.say({ jsonrpc: "2.0", id: sampling.id, result: { role: "assistant", model: "m", content } })
      assert.strictEqual(textOf(yield* Fiber.join(one)), `one: ${JSON.stringify(content)}`)
      assert.strictEqual(textOf(yield* Fiber.join(two)), "two: decline")
    })
  )

  it.live("is at the level that the host has set, also where a server comes later", () =>
    Effect.gen(function* () {
      const { fleet, gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      assert.deepStrictEqual(resultOf(yield* host.ask("logging/setLevel", { level: "warning" })), {})
      assert.deepStrictEqual([of("one").ledger.levels, of("two").ledger.levels], [["warning"], ["warning"]])
      const ledger = new Ledger()
      yield* fleet.add({ id: "late", connector: serverOf("late", ledger).peerConnector, policy })
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual(textOf(yield* host.call("late__echo", { text: "1" })), "late: 1")
      assert.deepStrictEqual(ledger.levels, ["warning"])
    })
  )
})

describe("a backend that dies", () => {
  it.live("in a call leaves a result that says so, keeps its tools, and runs nothing twice", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const { server } = of("one")
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      const calling = yield* Effect.forkChild(host.call("one__hang"), { startImmediately: true })
      yield* server.untilCalled("hang")
      yield* server.refuse()
      yield* server.kill()
      const result = resultOf(yield* Fiber.join(calling))
      assert.isTrue(result["isError"])
      assert.deepInclude(Object(result["_meta"])["vmcp-keepalive"], { error: "OutcomeUnknown", executed: "unknown" })
      const listed = namesIn(yield* host.ask("tools/list"), "tools")
      assert.include(listed, "one__echo")
      assert.include(listed, "two__echo")
      yield* server.accept
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "back" })), "one: back")
      assert.deepStrictEqual(
        (yield* server.calls).map(({ tool }) => tool),
        ["hang", "echo"]
      )
    })
  )

  it.live("while nothing is asked is not noticed by the host, but for its lists", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      yield* of("one").server.kill()
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "1" })), "one: 1")
    })
  )

  it.live("from the start holds back nobody, and is told of when it comes", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf
      const server = serverOf("dead", new Ledger())
      yield* server.refuse()
      yield* fleet.add({
        id: "dead",
        connector: server.peerConnector,
        policy: { ...policy, waitForSession: "100 millis" }
      })
      yield* fleet.add({ id: "fine", connector: serverOf("fine", new Ledger()).peerConnector, policy })
      const gateway = yield* gatewayOf({ fleet, initializeWait: "1 second", listWait: "1 second" })
      const host = yield* initialized(gateway)
      assert.deepStrictEqual(
        namesIn(yield* host.ask("tools/list"), "tools"),
        tools.map((name) => `fine__${name}`)
      )
      assert.strictEqual(textOf(yield* host.call("fine__echo", { text: "1" })), "fine: 1")
      yield* server.accept
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual(textOf(yield* host.call("dead__echo", { text: "2" })), "dead: 2")
    })
  )

  it.live("with what it lists holds back no call to another one, and not who need not wait for it", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start({ frozen: {}, fine: {} }, { initializeWait: "1 second", listWait: "1 hour" })
      yield* of("frozen").server.freeze
      const host = yield* initialized(gateway)
      assert.strictEqual(textOf(yield* host.call("fine__echo", { text: "1" })), "fine: 1")
      const hasty = yield* start({ frozen: {}, fine: {} }, { initializeWait: "1 hour", listWait: "1 hour" })
      yield* hasty.of("frozen").server.freeze
      const other = yield* initialized(hasty.gateway, hello, { waits: false })
      assert.strictEqual(textOf(yield* other.call("fine__echo", { text: "2" })), "fine: 2")
      const prompt = resultOf(yield* other.ask("prompts/get", { name: "fine__greet" }))
      assert.strictEqual(prompt["description"], "fine/greet")
    })
  )

  it.live("is isolated and reset with the sessions that hosts have of their own", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start()
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      const state = yield* gateway.operate("one", "isolate")
      assert.strictEqual(Option.getOrThrow(state)._tag, "Isolated")
      const refused = resultOf(yield* host.call("one__echo"))
      assert.deepInclude(Object(refused["_meta"])["vmcp-keepalive"], { error: "CallRejected", executed: "no" })
      // also of those that come later
      const other = yield* initialized(gateway)
      assert.isTrue(resultOf(yield* other.call("one__echo"))["isError"])
      assert.include(namesIn(yield* other.ask("tools/list"), "tools"), "one__echo")
      assert.deepStrictEqual(yield* of("one").server.calls, [])
      yield* gateway.operate("one", "reset")
      assert.strictEqual(textOf(yield* other.call("one__echo", { text: "1" })), "one: 1")
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "2" })), "one: 2")
      assert.isTrue(Option.isNone(yield* gateway.operate("none", "reset")))
    })
  )

  it.live("is isolated and reset so too where somebody else says it, as another gateway of a cluster does", () =>
    Effect.gen(function* () {
      const { fleet, gateway } = yield* start()
      const host = yield* initialized(gateway)
      const member = yield* Effect.flatMap(fleet.get("one"), Effect.fromOption)
      const isRefused = Effect.map(host.call("one__echo"), (answer) => resultOf(answer)["isError"] === true)
      const until = (is: boolean) =>
        Effect.repeat(Effect.delay(isRefused, "10 millis"), { until: (refused) => refused === is })
      yield* until(false)
      yield* member.isolate
      yield* until(true)
      yield* member.reset
      yield* until(false)
    })
  )

  it.live("answers no further than listWait when it is frozen: others' lists come, and its own as last known", () =>
    Effect.gen(function* () {
      const { gateway, of } = yield* start(undefined, { listWait: "150 millis" })
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      yield* of("one").server.freeze
      const [time, answer] = yield* Effect.timed(host.ask("tools/list"))
      assert.include(namesIn(answer, "tools"), "one__echo")
      assert.include(namesIn(answer, "tools"), "two__echo")
      assert.isBelow(Duration.toMillis(time), 2000)
      yield* of("one").server.thaw
    })
  )
})
