/** What is said over the one pipe to a child of either era: how it is asked, told of what nobody waits for, and listened to. */
import { assert, describe } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { Effect, Fiber } from "effect"
import { overheard } from "./support.ts"
import { calm, eventually, executing, only, promise, quick, text } from "../backend/support.ts"

const eras = [
  { era: "modern", handshake: ["server/discover"], probe: "server/discover" },
  { era: "legacy", handshake: ["server/discover", "initialize", "notifications/initialized"], probe: "ping" }
] as const

for (const { era, handshake, probe } of eras)
  describe(`a child of the ${era} era`, { timeout: 60_000 }, () => {
    promise(`is connected to by its handshake and asked with ${probe}`, () =>
      Effect.gen(function* () {
        const { event, methods } = yield* overheard(era, { policy: { ...quick, timeout: "900 millis" } })
        yield* event("ProbeSucceeded")
        const asked = yield* methods
        assert.deepStrictEqual(asked.slice(0, handshake.length), [...handshake])
        assert.include(asked.slice(handshake.length), probe)
        // lists are read for the backend, and nothing of the other era is asked
        assert.notInclude(asked.slice(handshake.length), probe === "ping" ? "server/discover" : "ping")
      })
    )

    promise("is told of each call that its caller gives up, and goes on with the others", () =>
      Effect.gen(function* () {
        const { call, events, said, server } = yield* overheard(era)
        const calls = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.forkChild(call(server.slow(30))))
        yield* executing(server, 20)
        yield* Fiber.interruptAll(calls)
        assert.include(text(yield* call(server.echo("next"))), "next")
        const all = yield* said
        const called = all.filter(({ params }) => params?.name === "slow").map(({ id }) => id)
        const cancelled = all.filter(({ method }) => method === "notifications/cancelled")
        assert.strictEqual(called.length, 20)
        assert.sameMembers(
          cancelled.map(({ params }) => params?.requestId),
          called
        )
        assert.deepStrictEqual(only(events, "SessionClosed"), [])
      })
    )
  })

describe("a subscription over the pipe", { timeout: 60_000 }, () => {
  /** A client that listens for changes of the list of tools, and counts them. */
  const listening = () => {
    const heard = { changes: 0 }
    const client = () =>
      new Client(
        { name: "app", version: "1.0.0" },
        { listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => void heard.changes++ } } }
      )
    return { client, heard }
  }
  const touch = { name: "touch", arguments: {} }

  promise("that the client makes to connect tells of changes, also on the session after", () =>
    Effect.gen(function* () {
      const { client, heard } = listening()
      const { call, event, methods, pid, signal } = yield* overheard("modern", { connector: { client } })
      yield* call(touch)
      yield* eventually(
        Effect.sync(() => heard.changes),
        (changes) => changes === 1
      )
      assert.include(yield* methods, "subscriptions/listen")
      const at = signal("SIGKILL", -pid())
      yield* event("SessionClosed", at)
      yield* call(touch)
      yield* eventually(
        Effect.sync(() => heard.changes),
        (changes) => changes === 2
      )
    })
  )

  promise("that is never acknowledged keeps the client from connecting for a second and no longer", () =>
    Effect.gen(function* () {
      const { client } = listening()
      const began = performance.now()
      const { call, server } = yield* overheard(
        "modern",
        { connector: { client }, policy: { ...calm, connectTimeout: "20 seconds" } },
        (command) => `${command} | grep --line-buffered -v subscriptions/acknowledged`
      )
      assert.isAtLeast(performance.now() - began, 1000)
      assert.include(text(yield* call(server.echo("hi"))), "hi")
    })
  )

  for (const how of ["answered", "cancelled"] as const)
    promise(`that its server ends while it lives is opened again, and what it is about may have changed: ${how}`, () =>
      Effect.gen(function* () {
        const { client, heard } = listening()
        const { call, events, methods, said, spawns } = yield* overheard("modern", { connector: { client } })
        const changes = Effect.sync(() => heard.changes)
        yield* call({ name: "unlisten", arguments: { how } })
        yield* eventually(changes, (count) => count === 1)
        yield* call(touch)
        yield* eventually(changes, (count) => count === 2)
        // the second time it ends in haste, it is opened again a little later
        yield* call({ name: "unlisten", arguments: { how } })
        yield* eventually(changes, (count) => count === 3)
        yield* call(touch)
        yield* eventually(changes, (count) => count === 4)
        assert.strictEqual((yield* methods).filter((method) => method === "subscriptions/listen").length, 3)
        // a request that was lost is sent again under another id
        const ids = (yield* said).flatMap(({ id, method }) => (method === "subscriptions/listen" ? [id] : []))
        assert.strictEqual(new Set(ids).size, 3)
        assert.deepStrictEqual(
          only(events, "Noticed").map(({ notice }) => notice),
          ["stream_lost", "stream_restored", "stream_lost", "stream_restored"]
        )
        assert.deepStrictEqual([only(events, "SessionClosed"), spawns.length], [[], 1])
      })
    )

  promise("that its server has no room for fails its call, and is not the death of its session", () =>
    Effect.gen(function* () {
      const { client, heard } = listening()
      const { backend, call, event, events, methods, spawns } = yield* overheard(
        { era: "modern", maxSubscriptions: 1 },
        { connector: { client } }
      )
      const failed = yield* Effect.flip(backend.use((view) => view.listen({ toolsListChanged: true })))
      assert.strictEqual(failed._tag, "CallFailed")
      yield* event("ProbeSucceeded")
      yield* call(touch)
      yield* eventually(
        Effect.sync(() => heard.changes),
        (count) => count === 1
      )
      assert.deepStrictEqual([only(events, "SessionClosed"), spawns.length], [[], 1])
      assert.strictEqual((yield* methods).filter((method) => method === "subscriptions/listen").length, 2)
    })
  )

  promise("is one of a call as well, and is ended by a cancellation", () =>
    Effect.gen(function* () {
      const { backend, call, said, server } = yield* overheard("modern")
      let heard = 0
      const subscription = yield* backend.use((client) => {
        client.setNotificationHandler("notifications/tools/list_changed", () => void heard++)
        return client.listen({ toolsListChanged: true })
      })
      yield* call(touch)
      yield* eventually(
        Effect.sync(() => heard),
        (changes) => changes === 1
      )
      yield* Effect.promise(() => subscription.close())
      yield* call(touch)
      assert.include(text(yield* call(server.echo("hi"))), "hi")
      assert.strictEqual(heard, 1)
      const all = yield* said
      const listen = all.find(({ method }) => method === "subscriptions/listen")
      const cancelled = all.find(({ method }) => method === "notifications/cancelled")
      assert.isDefined(listen?.id)
      assert.strictEqual(cancelled?.params?.requestId, listen?.id)
    })
  )
})
