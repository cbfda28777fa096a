/** What the model test found: one small test a promise. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector: server.connector, policy: { interval: "30 seconds", ...policy } })

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

describe("a backend that sleeps when nobody calls", () => {
  it.effect("stays awake, and rests, while a call is in flight for longer than idleAfter", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { idleAfter: "1 minute" })
      yield* backend.awaitConnected
      server.script.latency = "10 minutes"
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.latency = 0
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Idle")
    })
  )

  it.effect("does not fall asleep, and rests, while its session is being replaced", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { idleAfter: "1 minute" })
      yield* backend.awaitConnected
      yield* TestClock.adjust("55 seconds")
      server.script.latency = "8 seconds"
      const reconnected = yield* Effect.forkChild(backend.reconnect, { startImmediately: true })
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(yield* Fiber.join(reconnected), { _tag: "Connected", generation: 2 })
    })
  )
})

describe("a call", () => {
  it.effect("that ends every session on which it runs is not run for ever, idempotent or not", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ stateful: false })
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.cut
      const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      assert.isAtMost(server.executed.length, 3)
    })
  )

  it.effect("that may have been executed is never reported as refused", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const replies = [ScriptedServer.cut, ScriptedServer.refuse(400)]
      server.script.call = () => replies.shift() ?? ScriptedServer.answer
      const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
      assert.deepStrictEqual(server.executed, ["echo"])
      assert.strictEqual(error._tag, "OutcomeUnknown")
    })
  )

  it.effect("refused on a session that drains is run on its successor at once", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.latency = "1 second"
      server.script.call = () => ScriptedServer.refuse(404)
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.call = () => ScriptedServer.answer
      server.script.latency = 0
      assert.deepStrictEqual(yield* backend.reconnect, { _tag: "Connected", generation: 2 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(call), "echo")
    })
  )

  for (const command of ["isolate", "close"] as const) {
    it.effect(`on a session that drains ends as OutcomeUnknown with ${command}, and the session is closed`, () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const scope = yield* Scope.make()
        const backend = yield* Scope.provide(make(server), scope)
        yield* backend.awaitConnected
        server.script.call = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
        yield* backend.reconnect
        assert.strictEqual(server.counts.open, 2)
        yield* command === "isolate" ? backend.isolate : Scope.close(scope, Exit.void)
        yield* Effect.yieldNow
        assert.strictEqual(server.counts.open, 0)
        assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
        yield* Scope.close(scope, Exit.void)
      })
    )
  }
})

describe("a call in flight when a probe learns that the server has forgotten the session", () => {
  const forgotten = Effect.fnUntraced(function* (reply: ScriptedServer.Reply, latency: `${number} seconds`) {
    const server = ScriptedServer.make()
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const backend = yield* make(server, { stableAfter: 0 }).pipe(
      Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event)))
    )
    yield* backend.use(echo)
    server.script.latency = latency
    server.script.call = () => reply
    const call = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
    server.script.latency = 0
    server.script.call = () => ScriptedServer.answer
    server.forgetSessions()
    assert.deepStrictEqual(yield* backend.probe, { _tag: "Connected", generation: 2 })
    return { backend, call, events, server }
  })
  const closings = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
    events.flatMap((event) => (event._tag === "SessionClosed" ? [event.reason] : []))

  it.effect("gets its own refusal, and is run once on the new session", () =>
    Effect.gen(function* () {
      const { call, events, server } = yield* forgotten(ScriptedServer.refuse(404), "2 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("echo"))
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
      assert.deepStrictEqual(closings(events), ["session_lost"])
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect("gets its answer, where the server goes on with it", () =>
    Effect.gen(function* () {
      const { call, server } = yield* forgotten(ScriptedServer.answer, "2 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("echo"))
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
    })
  )

  it.effect("ends as OutcomeUnknown as soon as its answer is cut", () =>
    Effect.gen(function* () {
      const { call } = yield* forgotten(ScriptedServer.cut, "1 seconds")
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(call)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"))
    })
  )

  it.effect("ends as OutcomeUnknown when nothing has come within timeout", () =>
    Effect.gen(function* () {
      const { call, events, server } = yield* forgotten(ScriptedServer.silence, "0 seconds")
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(closings(events), [])
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(call)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"))
      assert.deepStrictEqual(closings(events), ["session_lost"])
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect("does not let a pinned body begin another call on it", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      const error = yield* Effect.flip(
        backend.pinned((session) =>
          Effect.gen(function* () {
            server.forgetSessions()
            yield* Effect.orDie(backend.probe)
            return yield* session.use(echo)
          })
        )
      )
      assert.strictEqual(error._tag, "SessionReplaced")
      assert.deepStrictEqual(server.executed, [])
    })
  )
})

describe("credentials that cannot be read again", () => {
  const hanging = (server: ScriptedServer.ScriptedServer) => ({
    ...server.connector,
    open: (host: Connector.SessionHost) =>
      Effect.map(server.connector.open(host), (session) => ({ ...session, refresh: Effect.never }))
  })

  it.effect("do not hold up a probe for longer than its timeout", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({ id: "scripted", connector: hanging(server) })
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.refuse(401)
      const probe = yield* Effect.forkChild(backend.probe, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(probe), { _tag: "NeedsAuth" })
    })
  )

  it.effect("do not hold up a call for longer than waitForSession", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({ id: "scripted", connector: hanging(server) })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(401)
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(call))._tag, "CallFailed")
      assert.deepStrictEqual(server.executed, [])
    })
  )
})
