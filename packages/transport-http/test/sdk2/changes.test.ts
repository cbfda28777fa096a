/** What a backend hears of changes, whatever becomes of its server, of its sessions, and of the streams between. */
import { assert, describe, it } from "@effect/vitest"
import { Backend, type Changes } from "@vmcp-keepalive/core"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Stream } from "effect"
import { is, isRenewed, only, quiet } from "../backend/support.ts"
import { eventually, eventuallyEffect } from "../connector/support.ts"
import { asked, keep } from "./support.ts"

const touch = { name: "touch", arguments: {} }

const everything = { tools: true, resources: true, uris: ["note://1"] }

const wordOf = (change: Changes.Change) => (change._tag === "List" ? change.kind : change.uri)

/** Listens until it is stopped, and notes what it hears. */
const listen = Effect.fnUntraced(function* (backend: Backend.Backend<unknown>, filter: Changes.Filter = everything) {
  const heard: Array<string> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(backend.listen(filter), (change) => Effect.sync(() => void heard.push(wordOf(change)))),
    { startImmediately: true }
  )
  /** waits until so much was heard, and no more; in any order */
  const hears = (...words: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      yield* eventually(() => heard.length >= words.length)
      assert.deepStrictEqual(heard.splice(0).toSorted(), words.toSorted())
    })
  return { heard, hears, stop: Fiber.interrupt(fiber) }
})

/** What is heard after a gap, and of a call of `touch`, in each era. */
const eras = [
  ["modern", "subscriptions/listen", ["note://1", "resources", "tools"]],
  ["legacy", "resources/subscribe", ["note://1", "resources", "tools"]]
] as const

/** Waits until the session listens: the request that it takes is answered. */
const listening = (kept: Effect.Success<ReturnType<typeof keep>>, method: string, count = 1) =>
  eventuallyEffect(
    Effect.map(
      kept.proxy.requests,
      (requests) =>
        requests.filter(({ rpcMethod }) => rpcMethod === method).length >= count &&
        (method !== "resources/subscribe" || requests.filter(({ method: http }) => http === "GET").length >= count)
    )
  )

for (const [era, method, gap] of eras)
  describe(`a backend that is listened to, of the ${era} era`, { timeout: 60_000 }, () => {
    const start = Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era })
      const kept = yield* keep(server, { policy: quiet })
      const listener = yield* listen(kept.backend)
      yield* listening(kept, method)
      yield* kept.call(touch)
      yield* listener.hears("note://1", "tools")
      return { ...kept, ...listener, server }
    })

    for (const end of ["kill", "terminate"] as const)
      it.live(`outlives its server, and hears of everything once: ${end}`, () =>
        Effect.gen(function* () {
          const { call, heard, hears, server } = yield* start
          yield* server[end]
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
        const kept = yield* keep(server, {
          policy: { ...quiet, circuit: "none", waitForSession: "15 seconds", replayBudget: "none" }
        })
        const { hears } = yield* listen(kept.backend)
        const heardOf = Effect.gen(function* () {
          yield* kept.call(touch)
          yield* hears("note://1", "tools")
        })
        yield* eventuallyEffect(
          Effect.map(asked(kept.proxy), (all) => all.includes("subscriptions/listen") || all.includes("GET"))
        )
        yield* eventuallyEffect(
          Effect.map(
            asked(kept.proxy),
            (all) => all.includes("subscriptions/listen") || all.includes("resources/subscribe")
          )
        )
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
      yield* listening(kept, "subscriptions/listen")
      yield* kept.call(touch)
      yield* first.hears("tools")
      const second = yield* listen(kept.backend, { tools: true })
      yield* listening(kept, "subscriptions/listen", 3)
      assert.deepStrictEqual([only(kept.events, "SessionClosed"), only(kept.events, "ProbeFailed")], [[], []])
      yield* first.stop
      yield* listening(kept, "subscriptions/listen", 4)
      yield* eventuallyEffect(
        Effect.andThen(
          kept.call(touch),
          Effect.sync(() => second.heard.length > 0)
        )
      )
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
      yield* listen(kept.backend)
      yield* listening(kept, "subscriptions/listen")
      yield* Effect.sleep("4 seconds")
      assert.deepStrictEqual(
        (yield* asked(kept.proxy)).filter((name) => !name.endsWith("/list")),
        ["server/discover", "subscriptions/listen"]
      )
      assert.isFalse(isRenewed()(yield* kept.backend.state))
    }).pipe(Effect.scoped)
  )
})
