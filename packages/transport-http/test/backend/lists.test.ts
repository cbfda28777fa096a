/** Lists that stay true, over HTTP: a real server changes what it lists, and says so on its standing stream. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, type Connector, KeepaliveEvent, type KeepalivePolicy, type Lists } from "@vmcp-keepalive/core"
import { McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { HttpPeerConnector, Peer } from "../../src/peer.ts"
import { eventuallyEffect } from "../connector/support.ts"
import { quick } from "./support.ts"

const { Control } = ScriptedServer

type Told = readonly [kind: Lists.Kind, added: ReadonlyArray<string>, removed: ReadonlyArray<string>, changed: unknown]

const keep = Effect.fnUntraced(function* <C>(connector: Connector.Connector<C>, policy: KeepalivePolicy.Options = {}) {
  const told: Array<Told> = []
  const backend = yield* Backend.make({
    id: "lists",
    connector,
    policy: { ...quick, removalGrace: 0, ...policy }
  }).pipe(
    Effect.provide(
      KeepaliveEvent.layerObserver((event) => {
        if (event._tag === "ListChanged") told.push([event.kind, event.added, event.removed, event.changed])
      })
    )
  )
  yield* backend.awaitConnected
  /** waits until so much was told, gives it, and forgets it */
  const next = (count = 1) =>
    Effect.map(eventuallyEffect(Effect.sync(() => told.length >= count)), () => told.splice(0))
  return { backend, told, next }
})

const names = (lists: Lists.Lists, kind: Lists.Kind) => lists[kind].map(({ name }) => name)

/** Every kind of client, and what of `notifications/tools/list_changed` its user hears. */
const clients = [
  {
    name: "SDK 1",
    connectorOf: (url: string, heard: Array<string>): Connector.Connector<unknown> =>
      HttpConnector.make({
        url,
        client: () => {
          const client = new Client({ name: "test", version: "1.0.0" })
          client.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => void heard.push(method))
          return client
        }
      })
  },
  {
    name: "no SDK",
    connectorOf: (url: string, heard: Array<string>): Connector.Connector<unknown> =>
      HttpPeerConnector.make({
        url,
        peer: () => Peer.make({ onMessage: ({ method }) => void heard.push(method) })
      })
  }
]

describe.each(clients)("with $name", ({ connectorOf }) => {
  it.live("a server that adds, changes and removes is followed, and the user's own handlers hear it too", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ lists: ["prompts", "resources"] })
      const heard: Array<string> = []
      const { backend, next } = yield* keep(connectorOf(server.url, heard))
      assert.deepStrictEqual(yield* next(), [
        ["tools", ["echo", "fail", "progress", "rpcError", "session_counter", "slow"], [], []]
      ])
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))

      const schema = (type: string) => ({ type: "object", properties: { a: { type } } })
      yield* server.control(Control.AddTool({ name: "extra", inputSchema: schema("number") }))
      assert.deepStrictEqual(yield* next(), [["tools", ["extra"], [], []]])
      yield* server.control(Control.AddTool({ name: "extra", inputSchema: schema("string") }))
      assert.deepStrictEqual(yield* next(), [["tools", [], [], ["extra"]]])
      yield* server.control(Control.RemoveTool({ name: "extra" }))
      assert.deepStrictEqual(yield* next(), [["tools", [], ["extra"], []]])

      yield* server.control(Control.List({ kind: "prompts", entries: [{ name: "greet" }] }))
      assert.deepStrictEqual(yield* next(), [["prompts", ["greet"], [], []]])
      yield* server.control(Control.List({ kind: "resources", entries: [{ uri: "file:///a", name: "a" }] }))
      assert.deepStrictEqual(yield* next(), [["resources", ["file:///a"], [], []]])
      yield* server.control(Control.List({ kind: "resources", entries: [{ uri: "file:///a", name: "b" }] }))
      assert.deepStrictEqual(yield* next(), [["resources", [], [], ["file:///a"]]])
      const lists = yield* backend.lists
      assert.deepStrictEqual(names(lists, "prompts"), ["greet"])
      assert.deepStrictEqual(names(lists, "resources"), ["file:///a"])
      const toolChanges = heard.filter((method) => method === "notifications/tools/list_changed")
      assert.strictEqual(toolChanges.length, 3)
    }).pipe(Effect.scoped)
  )

  it.live("a restart with other tools is followed, and what a server has while it is down is known", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { backend, next } = yield* keep(connectorOf(server.url, []), { removalGrace: "300 millis" })
      yield* next()
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      yield* server.control(Control.AddTool({ name: "extra" }))
      assert.deepStrictEqual(yield* next(), [["tools", ["extra"], [], []]])
      yield* server.kill
      yield* eventuallyEffect(Effect.map(backend.state, ({ _tag }) => _tag !== "Connected"))
      assert.include(names(yield* backend.lists, "tools"), "extra")
      yield* server.start
      assert.deepStrictEqual(yield* next(), [["tools", [], ["extra"], []]])
      assert.notInclude(names(yield* backend.lists, "tools"), "extra")
    }).pipe(Effect.scoped)
  )

  it.live("a flood of list_changed costs no more than one reading in a confirmInterval", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ lists: ["prompts"] })
      const heard: Array<string> = []
      const { backend, next, told } = yield* keep(connectorOf(server.url, heard), {
        interval: "1 minute",
        confirmInterval: "30 seconds"
      })
      yield* next()
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      const counted = Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["tools/list"] ?? 0)
      const before = yield* counted
      const method = "notifications/tools/list_changed"
      for (let burst = 0; burst < 10; burst++) yield* server.control(Control.Notify({ method, times: 500 }))
      yield* eventuallyEffect(Effect.sync(() => heard.filter((one) => one === method).length === 5000))
      yield* eventuallyEffect(Effect.map(counted, (count) => count === before + 2))
      // whatever it says: nothing has changed, and another list is not kept from being read any longer
      assert.deepStrictEqual(told, [])
      yield* backend.probe
      assert.strictEqual(yield* counted, before + 2)
    }).pipe(Effect.scoped)
  )
})

describe("real servers", () => {
  it.live("list their tools, prompts, resources and resource templates", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const { backend } = yield* keep(HttpConnector.make({ url: server.url }))
      yield* eventuallyEffect(Effect.map(backend.lists, ({ resources }) => resources.length > 0))
      const lists = yield* backend.lists
      assert.include(names(lists, "tools"), "echo")
      assert.isAbove(lists.prompts.length, 0)
      assert.isTrue(names(lists, "resources").some((name) => name.includes("{")))
      for (const { fingerprint } of [...lists.tools, ...lists.prompts, ...lists.resources]) {
        assert.isTrue(Number.isSafeInteger(fingerprint))
      }
    }).pipe(Effect.scoped)
  )
})
