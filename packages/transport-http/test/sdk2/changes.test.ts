/** What a backend hears of changes, whatever becomes of its server, of its sessions, and of the streams between. */
import { assert, describe, it } from "@effect/vitest"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { is, isRenewed, listen, only, quiet } from "../backend/support.ts"
import { eventually, eventuallyEffect } from "../connector/support.ts"
import { acknowledgment, asked, keep, keepAt, say, scripted, sse, unknown } from "./support.ts"

const touch = { name: "touch", arguments: {} }

/** While a server starts, which takes a busy machine a second and more, its backend gives up nothing, and calls wait. */
const patient: KeepalivePolicy.Options = {
  ...quiet,
  circuit: "none",
  waitForSession: "15 seconds",
  replayBudget: "none"
}

/** What is heard after a gap, and of a call of `touch`, in each era. */
const eras = [
  ["modern", "subscriptions/listen", ["note://1", "resources", "tools"]],
  ["legacy", "resources/subscribe", ["note://1", "resources", "tools"]]
] as const

/** Waits until a method was asked so often. */
const times = (kept: Pick<Effect.Success<ReturnType<typeof keep>>, "proxy">, method: string, count: number) =>
  eventuallyEffect(Effect.map(asked(kept.proxy), (all) => all.filter((name) => name === method).length >= count))

for (const [era, method, gap] of eras)
  describe(`a backend that is listened to, of the ${era} era`, { timeout: 60_000 }, () => {
    const start = Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era })
      const kept = yield* keep(server, { policy: patient })
      const listener = yield* listen(kept.backend)
      yield* listener.ready
      yield* kept.call(touch)
      yield* listener.hears("note://1", "tools")
      return { ...kept, ...listener, server }
    })

    for (const end of ["kill", "terminate"] as const)
      it.live(`outlives its server, and hears of everything once: ${end}`, () =>
        Effect.gen(function* () {
          const { call, events, heard, hears, server } = yield* start
          yield* server[end]
          yield* eventually(() => only(events, "Noticed").some(({ notice }) => notice === "stream_lost"))
          yield* server.kill
          yield* server.start
          yield* call({ name: "echo", arguments: { message: "again" } })
          yield* hears(...gap)
          yield* call(touch)
          yield* hears("note://1", "tools")
          assert.deepStrictEqual(heard, [])
        }).pipe(Effect.scoped)
      )

    it.live("hears of everything once after its stream was cut, on the same session", () =>
      Effect.gen(function* () {
        const { backend, call, events, hears, proxy } = yield* start
        yield* proxy.inject(Fault.CutMidChunk({ on: era === "modern" ? { rpc: method } : { method: "GET" }, times: 1 }))
        yield* hears(...gap)
        yield* call(touch)
        yield* hears("note://1", "tools")
        assert.deepStrictEqual(only(events, "SessionClosed"), [])
        assert.isTrue(is("Connected")(yield* backend.state))
      }).pipe(Effect.scoped)
    )

    it.live("hears of everything once when its session is replaced on purpose", () =>
      Effect.gen(function* () {
        const { backend, call, events, hears } = yield* start
        yield* backend.reconnect
        yield* hears(...gap)
        yield* call(touch)
        yield* hears("note://1", "tools")
        assert.strictEqual(only(events, "SessionClosed").length, 1)
      }).pipe(Effect.scoped)
    )

    it.live("tells its server when nobody listens any more", () =>
      Effect.gen(function* () {
        const { call, heard, proxy, stop } = yield* start
        yield* stop
        if (era === "modern") yield* eventuallyEffect(Effect.map(proxy.stats, ({ inFlight }) => inFlight === 0))
        else yield* proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "resources/unsubscribe")
        yield* call(touch)
        assert.deepStrictEqual(heard, [])
        assert.strictEqual((yield* asked(proxy)).filter((name) => name === method).length, 1)
      }).pipe(Effect.scoped)
    )
  })

describe("a server that changes its era under a listener", { timeout: 90_000 }, () => {
  for (const [from, to] of [
    ["modern", "legacy"],
    ["legacy", "modern"],
    ["legacy", "dual"],
    ["dual", "legacy"]
  ] as const)
    it.live(`from ${from} to ${to} and back: it is heard in either, and everything once a gap`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: from })
        const kept = yield* keep(server, { policy: patient })
        const { hears, ready } = yield* listen(kept.backend)
        const heardOf = Effect.gen(function* () {
          yield* kept.call(touch)
          yield* hears("note://1", "tools")
        })
        yield* ready
        yield* heardOf
        for (const era of [to, from]) {
          yield* server.become(era)
          yield* kept.era
          yield* hears("note://1", "resources", "tools")
          yield* heardOf
        }
      }).pipe(Effect.scoped)
    )
})

describe("a server that has no room for another subscription", { timeout: 60_000 }, () => {
  it.live("is asked again later, and is not dead", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ maxSubscriptions: 1 })
      const kept = yield* keep(server, { policy: quiet })
      const first = yield* listen(kept.backend, { tools: true })
      yield* first.ready
      const second = yield* listen(kept.backend, { tools: true })
      yield* times(kept, "subscriptions/listen", 3)
      assert.deepStrictEqual([only(kept.events, "SessionClosed"), only(kept.events, "ProbeFailed")], [[], []])
      yield* first.stop
      yield* second.ready
      yield* kept.call(touch)
      yield* second.hears("tools")
      assert.deepStrictEqual(
        only(kept.events, "StateChanged").map(({ to }) => to._tag),
        ["Connected"]
      )
    }).pipe(Effect.scoped)
  )
})

describe("a backend of the modern era that is listened to and idle", { timeout: 60_000 }, () => {
  it.live("costs one request, however often it could have been asked", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2()
      const kept = yield* keep(server, { policy: { interval: "1 second" } })
      const { ready } = yield* listen(kept.backend)
      yield* ready
      yield* Effect.sleep("4 seconds")
      assert.deepStrictEqual(
        (yield* asked(kept.proxy)).filter((name) => !name.endsWith("/list")),
        ["server/discover", "subscriptions/listen"]
      )
      assert.isFalse(isRenewed()(yield* kept.backend.state))
    }).pipe(Effect.scoped)
  )
})

describe("what the client keeps for later", { timeout: 60_000 }, () => {
  it.live("does not outlive a change that its backend hears of", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ ttl: "1 hour" })
      const kept = yield* keep(server, { policy: quiet })
      const { hears, ready } = yield* listen(kept.backend, { tools: true })
      yield* ready
      const list = kept.backend.use((client) => client.listTools())
      const lists = Effect.map(asked(kept.proxy), (all) => all.filter((name) => name === "tools/list").length)
      yield* list
      // those of the backend, which reads them itself
      const before = yield* lists
      yield* list
      assert.strictEqual(yield* lists, before)
      yield* kept.call(touch)
      yield* hears("tools")
      yield* list
      assert.isAbove(yield* lists, before)
    }).pipe(Effect.scoped)
  )
})

describe("two who listen to one resource", { timeout: 60_000 }, () => {
  it.live("and the client share a subscription of the legacy era, which ends with the last of them", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const kept = yield* keep(server, { policy: quiet })
      const first = yield* listen(kept.backend, { uris: ["note://1"] })
      yield* first.ready
      const second = yield* listen(kept.backend, { uris: ["note://1"] })
      yield* second.ready
      const unsubscribed = Effect.map(asked(kept.proxy), (all) => all.includes("resources/unsubscribe"))
      yield* first.stop
      yield* kept.call(touch)
      yield* second.hears("note://1")
      assert.isFalse(yield* unsubscribed)
      yield* kept.backend.use((client) => client.subscribeResource({ uri: "note://1" }))
      yield* second.stop
      yield* kept.call(touch)
      assert.isFalse(yield* unsubscribed)
      assert.deepStrictEqual([first.heard, second.heard], [[], []])
    }).pipe(Effect.scoped)
  )
})

describe("a server that does as it likes with a subscription", { timeout: 60_000 }, () => {
  it.live("and tells of more than was asked for is heard of that alone", () =>
    Effect.gen(function* () {
      const many = Array.from({ length: 5000 }, (_, index) => `note://${index}`)
      const server = yield* scripted((_, body, response) => {
        const honored = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: many }
        response.writeHead(200, sse).write(say(acknowledgment(JSON.parse(body).id, honored)))
        if (server.began.length === 1) setTimeout(() => response.destroy(), 50)
      })
      const { backend } = yield* keepAt(server.url)
      const { hears, ready } = yield* listen(backend, { tools: true, uris: ["note://7"] })
      yield* ready
      yield* hears("note://7", "tools")
      yield* eventually(() => server.began.length === 2)
    }).pipe(Effect.scoped)
  )

  it.live("and knows none any more has become another one: its session is lost", () =>
    Effect.gen(function* () {
      let isOther = false
      const server = yield* scripted(
        (_, body, response) => {
          const { id } = JSON.parse(body)
          if (isOther) return unknown(id, response)
          response.writeHead(200, sse).write(say(acknowledgment(id)))
          isOther = true
          setTimeout(() => response.destroy(), 50)
        },
        (id, response) => {
          if (!isOther) return false
          unknown(id, response)
          return true
        }
      )
      const kept = yield* keepAt(server.url)
      yield* listen(kept.backend, { tools: true })
      yield* eventually(() => only(kept.events, "SessionClosed").length > 0)
      assert.strictEqual(only(kept.events, "SessionClosed")[0]?.reason, "session_lost")
    }).pipe(Effect.scoped)
  )

  it.live("and never acknowledges delays no connect, and is asked once", () =>
    Effect.gen(function* () {
      const server = yield* scripted((_, __, response) => void response.writeHead(200, sse).flushHeaders())
      const { backend } = yield* keepAt(server.url, "lazy")
      const { heard } = yield* listen(backend, { tools: true })
      const began = performance.now()
      yield* backend.awaitConnected
      assert.isBelow(performance.now() - began, 1000)
      yield* eventually(() => server.began.length === 1)
      yield* Effect.sleep("1 second")
      assert.deepStrictEqual([heard, server.began.length], [[], 1])
      assert.isTrue(is("Connected")(yield* backend.state))
    }).pipe(Effect.scoped)
  )
})
