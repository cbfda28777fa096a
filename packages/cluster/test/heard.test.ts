/** What a client hears of a server whose session another process has. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import {
  ListToolsRequestSchema,
  McpError,
  RootsListChangedNotificationSchema
} from "@modelcontextprotocol/sdk/types.js"
import { BackendError } from "@vmcp-keepalive/core"
import type { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Duration, Effect, Fiber, Stream } from "effect"
import { ClusterError, EntityAddress, EntityId, EntityType, ShardId } from "effect/cluster"
import { mostPins } from "../src/internal/owner/pins.ts"
import { Outbox } from "../src/internal/owner/outbox.ts"
import { tooLong } from "../src/internal/owner/perform.ts"
import * as Patience from "../src/internal/view/patience.ts"
import { asking } from "./support/asking.ts"
import { elsewhere } from "./support/elsewhere.ts"
import { until } from "./support/world.ts"

const text = (words: string) => ({ content: [{ type: "text" as const, text: words }] })

/** A server that tells much: what it is told itself is in `told`. */
const chatty = (told: Array<string> = []) =>
  TestServer.make({
    server: () => {
      const server = new McpServer(
        { name: "chatty", version: "1" },
        { capabilities: { tools: { listChanged: true }, logging: {} } }
      )
      server.registerTool("steps", {}, async ({ _meta, sendNotification }) => {
        const progressToken = _meta?.progressToken ?? ""
        for (let progress = 1; progress <= 20; progress++)
          await sendNotification({ method: "notifications/progress", params: { progressToken, progress } })
        return text("done")
      })
      server.registerTool("say", {}, async () => {
        for (let count = 0; count < 20; count++)
          await server.server.notification({
            method: "notifications/message",
            params: { level: "info", data: `${count}` }
          })
        return text("said")
      })
      server.registerTool("touch", {}, () => {
        server.sendToolListChanged()
        return text("touched")
      })
      server.registerTool("hang", {}, () => new Promise(() => {}))
      server.server.setNotificationHandler(RootsListChangedNotificationSchema, ({ method }) => {
        told.push(method)
      })
      return server
    }
  })

const call = (name: string, progressToken?: string) => ({
  method: "tools/call",
  params: { name, arguments: {}, ...(progressToken === undefined ? {} : { _meta: { progressToken } }) }
})

/** Makes a call, and writes down what is heard meanwhile, and the answer, in order. */
const heard = (asked: Message.Params, order: Array<unknown>) => (peer: Peer.Peer, signal: AbortSignal) => {
  const stop = peer.listen({
    onNotification: ({ method, params }, about) => order.push([method, params?.["progress"] ?? params?.["data"], about])
  })
  let label: number | undefined
  return peer
    .request(
      { method: "tools/call", params: asked },
      { signal, onId: (id) => (label = id), onAnswer: () => order.push("answer") }
    )
    .then(() => {
      stop()
      return label
    })
}

describe("a client of a server whose session another process has", () => {
  it.live("hears the progress of its own calls alone, before the answer, by its own token", () =>
    Effect.gen(function* () {
      const { there } = yield* elsewhere(chatty().peerConnector)
      const [one, two] = [there("one"), there("two")]
      const orders: ReadonlyArray<Array<unknown>> = [[], [], []]
      const params = call("steps", "my token").params
      const tokens: Array<unknown> = []
      const [label] = yield* Effect.all(
        [
          one.use((peer, signal) => {
            peer.listen({ onNotification: ({ params }) => tokens.push(params?.["progressToken"]) })
            return heard(params, orders[0]!)(peer, signal)
          }),
          two.use(heard(params, orders[1]!)),
          one.use(heard(call("hang").params, orders[2]!)).pipe(Effect.timeoutOption("500 millis"))
        ],
        { concurrency: "unbounded" }
      )
      const methods = orders.map((order) => order.map((item) => (Array.isArray(item) ? item[1] : item)))
      const steps = Array.from({ length: 20 }, (_, index) => index + 1)
      assert.deepStrictEqual(methods[0], [...steps, "answer"])
      assert.deepStrictEqual(methods[1], [...steps, "answer"])
      assert.deepStrictEqual(new Set(tokens), new Set(["my token"]))
      assert.deepStrictEqual(orders[0]![0], ["notifications/progress", 1, { relatedRequestId: label }])
    })
  )

  it.live("hears what the server says to all, in the order in which it was said, before the answer", () =>
    Effect.gen(function* () {
      const { there } = yield* elsewhere(chatty().peerConnector)
      const [order, other]: [Array<unknown>, Array<unknown>] = [[], []]
      const two = there("two")
      yield* two.use((peer) => {
        peer.listen({ onNotification: ({ method }) => other.push(method) })
        return Promise.resolve()
      })
      const one = there("one")
      yield* one.use(heard(call("say").params, order))
      assert.deepStrictEqual(
        order.map((item) => (Array.isArray(item) ? item[1] : item)),
        [...Array.from({ length: 20 }, (_, index) => `${index}`), "answer"]
      )
      yield* one.use((peer) => peer.request(call("touch")))
      yield* until(
        "the change has come",
        Effect.sync(() => other.at(-1)),
        (method) => method === "notifications/tools/list_changed"
      )
    })
  )

  it.live("sees what the server has said of itself, and is told when the session is over", () =>
    Effect.gen(function* () {
      const server = chatty()
      const { backend, there } = yield* elsewhere(server.peerConnector)
      const one = there("one")
      let closed = 0
      const see = (peer: Peer.Peer) => {
        peer.listen({ onNotification: () => {}, onClose: () => closed++ })
        return Promise.resolve({ server: peer.server, era: peer.era, capabilities: peer.capabilities })
      }
      const first = yield* one.use(see)
      const here = yield* backend.use((peer) => Promise.resolve({ ...peer.server }))
      assert.deepStrictEqual({ ...first.server }, here)
      assert.strictEqual(first.era, "legacy")
      assert.property(first.capabilities, "logging")
      assert.strictEqual((yield* one.use(see)).server, first.server)
      yield* backend.reconnect
      yield* until(
        "it is told",
        Effect.sync(() => closed),
        (count) => count === 2
      )
      const next = yield* one.use(see)
      assert.notStrictEqual(next.server, first.server)
      assert.deepStrictEqual({ ...next.server }, here)
    })
  )

  it.live("hears everything, whatever the other listeners throw", () =>
    Effect.gen(function* () {
      const { backend, there } = yield* elsewhere(chatty().peerConnector)
      const one = there("one")
      const fail = () => {
        throw new Error("no")
      }
      let closed = false
      const order: Array<unknown> = []
      yield* one.use((peer, signal) => {
        peer.listen({ onNotification: fail, onClose: fail })
        peer.listen({ onNotification: () => {}, onClose: () => (closed = true) })
        return heard(call("say").params, order)(peer, signal)
      })
      assert.strictEqual(order.length, 21)
      yield* backend.reconnect
      yield* until(
        "it is told",
        Effect.sync(() => closed),
        (isClosed) => isClosed
      )
      yield* one.use(heard(call("say").params, order))
      assert.strictEqual(order.length, 42)
    })
  )

  it.live("hears what comes after something that cannot be read", () =>
    Effect.gen(function* () {
      const { audience, there } = yield* elsewhere(chatty().peerConnector)
      const one = there("one", {
        attach: () =>
          Stream.map(audience.attach("one"), (told) =>
            told._tag === "Notified" && told.n === 1 ? { ...told, json: "{" } : told
          )
      })
      const order: Array<unknown> = []
      yield* one.use(heard(call("say").params, order))
      assert.strictEqual(order.length, 20)
    })
  )

  it.live("is told that it is over where the process keeps the backend no longer, and hears the next one", () =>
    Effect.gen(function* () {
      const { audience, there } = yield* elsewhere(chatty().peerConnector)
      const one = there("one")
      let closed = false
      yield* one.use((peer) => {
        peer.listen({ onNotification: () => {}, onClose: () => (closed = true) })
        return Promise.resolve()
      })
      audience.end()
      yield* until(
        "it is told",
        Effect.sync(() => closed),
        (isClosed) => isClosed
      )
      const order: Array<unknown> = []
      yield* one.use(heard(call("steps", "again").params, order))
      assert.strictEqual(order.length, 21)
    })
  )

  it.live("tells the server something, and cancels by the id that it knows", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const server = chatty(told)
      const { there } = yield* elsewhere(server.peerConnector)
      const one = there("one")
      yield* one.use((peer) => peer.notification({ method: "notifications/roots/list_changed" }))
      yield* until(
        "it is told",
        Effect.sync(() => told),
        ([method]) => method === "notifications/roots/list_changed"
      )
      const hanging = yield* Effect.forkChild(
        Effect.flip(
          one.use((peer) => {
            let id: number | undefined
            const asked = peer.request(call("hang"), { onId: (label) => (id = label) })
            void Effect.runPromise(server.untilCalled("hang")).then(() =>
              peer.notification({ method: "notifications/cancelled", params: { requestId: id } })
            )
            return asked
          })
        )
      )
      assert.instanceOf(yield* Fiber.join(hanging), BackendError.CallFailed)
      assert.instanceOf(
        yield* Effect.flip(one.use((peer) => peer.answer({ jsonrpc: "2.0", id: 1, result: {} }))),
        BackendError.CallFailed
      )
    })
  )
})

describe("a session that is held from another process", () => {
  it.live("is one session for all of its calls, and none is made on another", () =>
    Effect.gen(function* () {
      const server = chatty()
      const { backend, there } = yield* elsewhere(server.peerConnector)
      const one = there("one")
      const outcome = yield* one.pinned((session) =>
        Effect.gen(function* () {
          yield* session.use((peer) => peer.request(call("touch")))
          yield* backend.reconnect
          // what it is bound to drains, and is still there
          yield* session.use((peer) => peer.request(call("touch")))
          yield* server.kill()
          return yield* Effect.flip(session.use((peer) => peer.request(call("touch"))))
        })
      )
      assert.instanceOf(outcome, BackendError.SessionReplaced)
      const sessions = (yield* server.calls).map(({ session }) => session)
      assert.deepStrictEqual(sessions, [1, 1])
    })
  )

  it.live("is let go with its body, and no more are held than there may be", () =>
    Effect.gen(function* () {
      const { audience, backend, there } = yield* elsewhere(chatty().peerConnector)
      const one = there("one")
      const many = Array.from({ length: mostPins }, () => one.pinned(() => Effect.never))
      const held = yield* Effect.forkChild(Effect.all(many, { concurrency: "unbounded" }))
      yield* until(
        "all are held",
        Effect.sync(() => audience.pins.size),
        (size) => size === mostPins
      )
      const refused = yield* Effect.flip(one.pinned(() => Effect.void))
      assert.instanceOf(refused, BackendError.CallRejected)
      assert.strictEqual(refused.reason, "overloaded")
      yield* Fiber.interrupt(held)
      yield* one.pinned((session) => session.use((peer) => peer.request(call("touch"))))
      yield* until(
        "none is held",
        Effect.sync(() => audience.pins.size),
        (size) => size === 0
      )
      yield* backend.isolate
      assert.instanceOf(yield* Effect.flip(one.pinned(() => Effect.void)), BackendError.CallRejected)
    })
  )
})

describe("what waits for a slow process", () => {
  const notified = (n: number, json: string, isChange = false) =>
    ({ _tag: "Notified", n, key: "1", json, label: undefined, isChange }) as const
  const taken = (outbox: Outbox) => outbox.take().map((heard) => (heard._tag === "Notified" ? heard.n : heard._tag))

  it("is bounded: the oldest are left out, and what has changed last", () => {
    const outbox = new Outbox({ most: 4, mostUnits: 1000 })
    outbox.push({ _tag: "Attached", session: undefined })
    outbox.push(notified(1, "tools", true))
    for (let n = 2; n < 1000; n++) outbox.push(notified(n, "progress"))
    assert.deepStrictEqual(taken(outbox), ["Attached", 1, 998, 999])
    for (let n = 0; n < 10; n++) outbox.push(notified(n, `resource ${n}`, true))
    assert.deepStrictEqual(taken(outbox), [6, 7, 8, 9])
  })

  it("is bounded in its size, too", () => {
    const outbox = new Outbox({ most: 100, mostUnits: 1000 })
    for (let n = 0; n < 10; n++) outbox.push(notified(n, "x".repeat(300)))
    outbox.push(notified(10, "x".repeat(1001)))
    assert.deepStrictEqual(taken(outbox), [7, 8, 9])
  })

  it("does not have the same change twice, but the newer one", () => {
    const outbox = new Outbox()
    for (let n = 0; n < 5; n++) outbox.push(notified(n, "tools", true))
    outbox.push(notified(5, "prompts", true))
    assert.deepStrictEqual(taken(outbox), [4, 5])
  })
})

describe("a message between two processes", () => {
  it.live("that is too long is not handed on, and its call says so", () =>
    Effect.gen(function* () {
      const { there } = yield* elsewhere(chatty().peerConnector)
      const error = yield* Effect.flip(
        there("one").use((peer) => peer.request({ method: "tools/list", params: { x: "x".repeat(64 * 1024 * 1024) } }))
      )
      assert.deepStrictEqual(JSON.stringify(error), JSON.stringify(tooLong("tools", "request")))
    })
  )

  it.live.each(["result", "error"] as const)("is not answered with a longer %s, and its call says so", (kind) =>
    Effect.gen(function* () {
      const data = "x".repeat(64 * 1024 * 1024)
      const { there } = yield* elsewhere(
        TestServer.make({
          server: () => {
            const server = new McpServer({ name: "long", version: "1" }, { capabilities: { tools: {} } })
            server.server.setRequestHandler(ListToolsRequestSchema, () => {
              if (kind === "error") throw new McpError(1, "long", data)
              return { tools: [], data }
            })
            return server
          }
        }).peerConnector
      )
      const error = yield* Effect.flip(there("one").use((peer) => peer.request({ method: "tools/list" })))
      assert.deepStrictEqual(JSON.stringify(error), JSON.stringify(tooLong("tools", "answer")))
    })
  )

  it.live("that its owner has no room for was not executed, and its call is rejected at once", () =>
    Effect.gen(function* () {
      const address = EntityAddress.make({
        entityType: EntityType.make("Backend"),
        entityId: EntityId.make("tools"),
        shardId: ShardId.make("default", 1)
      })
      const error = yield* Effect.flip(
        asking({
          id: "tools",
          patience: yield* Patience.make(Duration.minutes(1)),
          local: () => undefined,
          isLeft: () => false,
          owner: Effect.undefined,
          send: () => Effect.fail(new ClusterError.MailboxFull({ address }))
        })({
          kind: "request",
          method: "tools/list",
          params: undefined,
          idempotent: false,
          caller: "one",
          label: 0,
          pin: undefined
        })
      )
      assert.instanceOf(error, BackendError.CallRejected)
      assert.strictEqual(error._tag === "CallRejected" && error.reason, "overloaded")
    })
  )
})
