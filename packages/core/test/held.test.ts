/** A session that only a long call keeps from being given up. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

const long = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("long", { signal })
const short = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("short", { signal })

/** A backend whose server works on a call and answers no probe: held after two minutes. */
const hold = Effect.fnUntraced(function* (options: ScriptedServer.Options = {}, policy: KeepalivePolicy.Options = {}) {
  const server = ScriptedServer.make(options)
  const backend = yield* Backend.make({
    id: "scripted",
    connector: server.connector,
    policy: { interval: "30 seconds", inFlightGrace: "3 minutes", circuit: "none", stableAfter: 0, ...policy }
  })
  yield* backend.use(short)
  server.script.probe = ScriptedServer.silence
  server.script.call = (tool) => (tool === "long" ? ScriptedServer.silence : ScriptedServer.answer)
  const call = yield* Effect.forkChild(Effect.flip(backend.use(long)), { startImmediately: true })
  yield* TestClock.adjust("2 minutes")
  assert.deepStrictEqual(untimed(yield* backend.state), {
    _tag: "Unhealthy",
    generation: 1,
    failures: 2,
    reason: "timeout",
    held: true
  })
  return { backend, call, server }
})

/** Lets time pass, with a sign of life every minute. */
const pass = (minutes: number, sign: () => void): Effect.Effect<void> =>
  Effect.repeat(
    Effect.suspend(() => {
      sign()
      return TestClock.adjust("1 minute")
    }),
    { times: minutes - 1 }
  )

const generationOf = Effect.fnUntraced(function* (backend: Backend.Backend<ScriptedServer.ScriptedClient>) {
  const state = yield* backend.state
  return state._tag === "Connected" || state._tag === "Unhealthy" ? state.generation : undefined
})

describe("a held session", () => {
  it.effect("is kept by bytes of the call itself", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* hold()
      yield* pass(8, server.progress)
      assert.strictEqual(yield* generationOf(backend), 1)
    })
  )

  it.effect("is given up after inFlightGrace without a byte of the call, whatever else the server sends", () =>
    Effect.gen(function* () {
      const { call, server } = yield* hold()
      yield* pass(2, server.chunk)
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "timeout")
    })
  )

  it.effect("is kept by any byte where answers share one stream", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* hold({ separateAnswers: false })
      yield* pass(8, server.chunk)
      assert.strictEqual(yield* generationOf(backend), 1)
    })
  )

  for (const separateAnswers of [true, false]) {
    it.effect(`is given up after four times inFlightGrace, also if bytes never end (${separateAnswers})`, () =>
      Effect.gen(function* () {
        const { backend, call, server } = yield* hold({ separateAnswers })
        yield* pass(8, server.progress)
        assert.strictEqual(yield* generationOf(backend), 1)
        yield* pass(4, server.progress)
        assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
      })
    )
  }

  it.effect("admits no call: one that is begun waits, at most waitForSession, and was not executed", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* hold()
      const waiting = yield* Effect.forkChild(Effect.flip(backend.use(short)), { startImmediately: true })
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(waiting)
      assert(error._tag === "SessionUnavailable")
      assert.strictEqual(error.state, "Unhealthy")
      assert.strictEqual(error.reason, "timeout")
      assert.deepStrictEqual(server.executed, ["short", "long"])
    })
  )

  const ends: ReadonlyArray<
    readonly [how: string, end: (held: Effect.Success<ReturnType<typeof hold>>) => Effect.Effect<unknown, unknown>]
  > = [
    [
      "answers a probe",
      ({ backend, server }) => {
        server.script.probe = ScriptedServer.answer
        return backend.probe
      }
    ],
    [
      "is replaced",
      ({ backend, server }) => {
        server.script.probe = ScriptedServer.answer
        return backend.reconnect
      }
    ],
    [
      "is lost",
      ({ server }) => {
        server.script.probe = ScriptedServer.answer
        return Effect.sync(() => server.kill("reset"))
      }
    ]
  ]
  for (const [how, end] of ends) {
    it.effect(`lets those that wait run as soon as it ${how}`, () =>
      Effect.gen(function* () {
        const held = yield* hold({}, { waitForSession: "1 minute" })
        const waiting = yield* Effect.forkChild(held.backend.use(short), { startImmediately: true })
        const connecting = yield* Effect.forkChild(held.backend.awaitConnected, { startImmediately: true })
        assert.isUndefined(connecting.pollUnsafe())
        yield* Effect.forkChild(end(held), { startImmediately: true })
        // a probe that runs is asked in vain, and the next one is answered
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* Fiber.join(waiting), "short")
        yield* Fiber.join(connecting)
      })
    )
  }

  it.effect("lets those that wait run as soon as the long call is answered", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({
        id: "scripted",
        connector: server.connector,
        policy: { interval: "30 seconds", inFlightGrace: "3 minutes" }
      })
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.silence
      server.script.latency = "150 seconds"
      const call = yield* Effect.forkChild(backend.use(long), { startImmediately: true })
      server.script.latency = 0
      yield* TestClock.adjust("145 seconds")
      const waiting = yield* Effect.forkChild(backend.use(short), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(call), "long")
      assert.strictEqual(yield* Fiber.join(waiting), "short")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  const pinning = Effect.fnUntraced(function* (isStale = false) {
    const server = ScriptedServer.make()
    const backend = yield* Backend.make({
      id: "scripted",
      connector: server.connector,
      policy: { interval: "30 seconds", inFlightGrace: "3 minutes", stableAfter: 0 }
    })
    yield* backend.use(short)
    server.script.probe = ScriptedServer.silence
    server.script.call = (tool) => (tool === "long" ? ScriptedServer.silence : ScriptedServer.answer)
    yield* Effect.forkChild(Effect.exit(backend.use(long)), { startImmediately: true })
    const pinned = yield* Effect.forkChild(
      backend.pinned((session) =>
        Effect.gen(function* () {
          yield* session.use(short)
          yield* Effect.sleep("2 minutes")
          // so that the session is not asked first whether it lives
          if (!isStale) server.chunk()
          return yield* Effect.result(session.use(short))
        })
      ),
      { startImmediately: true }
    )
    yield* TestClock.adjust("2 minutes")
    assert.isUndefined(pinned.pollUnsafe())
    assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
    return { backend, pinned, server }
  })

  for (const isStale of [false, true]) {
    it.effect(`admits no pinned call either: it waits, at most waitForSession (silent for long: ${isStale})`, () =>
      Effect.gen(function* () {
        const { pinned, server } = yield* pinning(isStale)
        yield* TestClock.adjust("10 seconds")
        const result = yield* Fiber.join(pinned)
        assert(result._tag === "Failure")
        assert.strictEqual(result.failure._tag, "SessionUnavailable")
        assert.deepStrictEqual(server.executed, ["short", "long", "short"])
      })
    )
  }

  it.effect("lets a pinned call run when it answers", () =>
    Effect.gen(function* () {
      const { backend, pinned, server } = yield* pinning()
      server.script.probe = ScriptedServer.answer
      yield* Effect.forkChild(backend.probe, { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      const result = yield* Fiber.join(pinned)
      assert(result._tag === "Success")
      assert.strictEqual(result.success, "short")
    })
  )

  it.effect("does not let a pinned call run on its successor", () =>
    Effect.gen(function* () {
      const { pinned, server } = yield* pinning()
      server.script.probe = ScriptedServer.answer
      server.kill("reset")
      yield* TestClock.adjust("1 second")
      const result = yield* Fiber.join(pinned)
      assert(result._tag === "Failure")
      assert.strictEqual(result.failure._tag, "SessionReplaced")
    })
  )

  it.effect("can be probed by an operator", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* hold()
      server.script.probe = ScriptedServer.answer
      const probed = yield* Effect.forkChild(backend.probe, { startImmediately: true })
      // the probe that runs is joined, and asked in vain
      yield* TestClock.adjust("20 seconds")
      assert.include(["Connected", "Unhealthy"], (yield* Fiber.join(probed))._tag)
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
    })
  )
})
