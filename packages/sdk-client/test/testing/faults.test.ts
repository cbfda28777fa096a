/** What a backend does when the server that a test wrote comes to harm: as with a real one, and in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import { charge, start, stateOf, wait } from "./support.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("a server that does everything right", () => {
  it.effect("answers the client of the SDK, which has shaken hands, and counts calls and sessions", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      assert.deepStrictEqual(yield* backend.use(async (client) => client.getServerVersion()), {
        name: "test",
        version: "1.0.0"
      })
      assert.deepStrictEqual(yield* backend.use(charge(3)), [{ type: "text", text: "charged 3" }])
      assert.deepStrictEqual(ledger.charged, [3])
      assert.deepStrictEqual(yield* server.calls, [{ tool: "charge", arguments: { amount: 3 }, session: 1 }])
      assert.deepStrictEqual(yield* server.sessions, { attempts: 1, made: 1, open: 1 })
    })
  )

  it.effect("is probed for a day of virtual time, and stays connected", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start()
      yield* backend.awaitConnected
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* stateOf(backend), "Connected")
      assert.deepStrictEqual(yield* server.sessions, { attempts: 1, made: 1, open: 1 })
    })
  )
})

describe("kill", () => {
  it.effect("ends a call in flight as OutcomeUnknown at once, and nothing is executed twice", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ stableAfter: 0 })
      yield* backend.use(charge(1))
      const call = yield* fork(Effect.flip(backend.use(wait)))
      yield* server.untilCalled("wait")
      yield* server.kill()
      const error = yield* Fiber.join(call)
      assert.deepInclude(error, { _tag: "OutcomeUnknown", reason: "process_exit" })
      // SDK 1.24 leaves handlers alone when their session ends.
      assert.strictEqual(ledger.aborted, inject("sdk") === "lowest" ? 0 : 1)
      assert.deepStrictEqual(yield* backend.use(charge(2)), [{ type: "text", text: "charged 2" }])
      assert.deepStrictEqual(
        (yield* server.calls).map(({ session, tool }) => [tool, session]),
        [
          ["charge", 1],
          ["wait", 1],
          ["charge", 2]
        ]
      )
      assert.deepStrictEqual(yield* server.sessions, { attempts: 2, made: 2, open: 1 })
    })
  )

  it.effect("with refuse before it is an outage: backoff, the circuit opens, and recover brings it back", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({
        backoff: { initial: "1 second", factor: 1 },
        circuit: { failures: 3, openFor: "1 minute" }
      })
      yield* backend.awaitConnected
      yield* server.refuse()
      yield* server.kill("reset")
      assert.deepInclude(yield* backend.state, { _tag: "Disconnected", reason: "reset" })
      const waiting = yield* fork(Effect.flip(backend.use(charge(1))))
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* backend.state, { _tag: "CircuitOpen", reason: "refused" })
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "CallRejected" })
      assert.deepStrictEqual(ledger.charged, [])
      assert.strictEqual((yield* server.sessions).open, 0)

      yield* server.recover
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* stateOf(backend), "Connected")
      yield* backend.use(charge(2))
      assert.deepStrictEqual(ledger.charged, [2])
    })
  )

  it.effect("executes nothing of what a frozen server has not read", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ stableAfter: 0 })
      yield* backend.awaitConnected
      yield* server.freeze
      const call = yield* fork(Effect.flip(backend.use(charge(1))))
      yield* server.kill()
      yield* server.thaw
      // it was written, and nobody can know that it was never read
      assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* stateOf(backend), "Connected")
      assert.deepStrictEqual(ledger.charged, [])
    })
  )

  it.effect("during a handshake fails that attempt with the reason", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({}, { server: () => new Promise<never>(() => {}) })
      yield* TestClock.adjust("1 second")
      yield* server.kill()
      assert.deepInclude(yield* backend.state, { _tag: "Disconnected", reason: "process_exit" })
    })
  )
})

describe("freeze", () => {
  it.effect("is found out by probes; what was written is executed once when it thaws, and the caller was told so", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ timeout: "5 seconds", inFlightGrace: "20 seconds" })
      yield* backend.awaitConnected
      yield* server.freeze
      const call = yield* fork(Effect.flip(backend.use(charge(7))))
      yield* TestClock.adjust("3 minutes")
      const error = yield* Fiber.join(call)
      assert.deepInclude(error, { _tag: "OutcomeUnknown" })
      assert.notStrictEqual(yield* stateOf(backend), "Connected")
      assert.deepStrictEqual(ledger.charged, [])

      yield* server.thaw
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* stateOf(backend), "Connected")
      assert.deepStrictEqual(ledger.charged, [7])
      assert.strictEqual((yield* server.sessions).open, 1)
    })
  )

  it.effect("that is shorter than the probes' patience costs nothing but time", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* backend.awaitConnected
      yield* server.freeze
      const call = yield* fork(backend.use(charge(1)))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(ledger.charged, [])
      yield* server.thaw
      assert.deepStrictEqual(yield* Fiber.join(call), [{ type: "text", text: "charged 1" }])
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
    })
  )

  it.effect("holds back the answer of what was at work already", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      const call = yield* fork(backend.use(wait))
      yield* server.untilCalled("wait")
      yield* server.freeze
      for (const end of ledger.waiting) end()
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* server.thaw
      assert.deepStrictEqual(yield* Fiber.join(call), { content: [] })
    })
  )
})

describe("refuse", () => {
  const cases = [
    ["refused", "Disconnected", "ECONNREFUSED on connect"],
    ["dns", "Disconnected", "ENOTFOUND on getaddrinfo"],
    ["tls", "Disconnected", "CERT_HAS_EXPIRED"],
    ["http_4xx", "Disconnected", "HTTP 404"],
    ["http_5xx", "Disconnected", "HTTP 500"],
    ["protocol", "Disconnected", undefined],
    ["busy", "Disconnected", "HTTP 429"],
    ["auth", "NeedsAuth", "HTTP 401"]
  ] as const

  it.effect.each(cases)("for %s is %s, and the errors of calls say so", ([reason, state, summary]) =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ connect: "lazy" })
      yield* server.refuse(reason, { retryAfter: reason === "busy" ? "20 seconds" : undefined })
      const call = yield* fork(Effect.flip(backend.use(charge(1))))
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* stateOf(backend), state)
      yield* TestClock.adjust("11 seconds")
      const error = yield* Fiber.join(call)
      assert.isTrue(error._tag === "SessionUnavailable" || error._tag === "CallRejected")
      assert.deepInclude(error, { reason })
      assert.strictEqual("detail" in error ? error.detail?.summary : undefined, summary)

      yield* server.accept
      yield* backend.reset
      yield* backend.use(charge(2))
      assert.deepStrictEqual(ledger.charged, [2])
    })
  )

  it.effect("that asks for time is tried again then, and not before", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ connect: "lazy" })
      yield* server.refuse("busy", { retryAfter: "2 minutes" })
      yield* fork(Effect.flip(backend.use(charge(1))))
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual((yield* server.sessions).attempts, 1)
      yield* server.accept
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* stateOf(backend), "Connected")
    })
  )

  it.effect("leaves the sessions that are open alone", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* backend.awaitConnected
      yield* server.refuse()
      yield* backend.use(charge(1))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* stateOf(backend), "Connected")
      assert.deepStrictEqual(ledger.charged, [1])
    })
  )
})

describe("forget", () => {
  it.effect("replaces the session, and the call that was refused is executed once, on the new one", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ stableAfter: 0 })
      yield* backend.use(charge(1))
      yield* server.forget
      const call = yield* fork(backend.use(charge(2)))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(call), [{ type: "text", text: "charged 2" }])
      assert.deepStrictEqual(ledger.charged, [1, 2])
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 2 })
      assert.deepStrictEqual(
        (yield* server.calls).map(({ session }) => session),
        [1, 2]
      )
    })
  )

  it.effect("lets the server answer what it has begun", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ stableAfter: 0, timeout: "5 seconds" })
      const begun = yield* fork(backend.use(wait))
      yield* server.untilCalled("wait")
      yield* server.forget
      const refused = yield* fork(backend.use(charge(2)))
      yield* TestClock.adjust("2 seconds")
      for (const end of ledger.waiting) end()
      assert.deepStrictEqual(yield* Fiber.join(begun), { content: [] })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(refused)
      assert.deepStrictEqual(ledger.charged, [2])
      assert.strictEqual((yield* server.calls).length, 2)
    })
  )

  it.effect("is followed by the subscriptions of before, on the new session", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ stableAfter: 0 })
      yield* backend.use((client) => client.subscribeResource({ uri: "test:one" }))
      yield* server.forget
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ledger.subscribed, ["test:one in 1", "test:one in 2"])
    })
  )
})

describe("dropAnswer", () => {
  it.effect("is OutcomeUnknown: the call was executed, is not executed again, and the session goes on", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* server.dropAnswer("charge")
      const error = yield* Effect.flip(backend.use(charge(1)))
      assert.deepInclude(error, { _tag: "OutcomeUnknown", reason: "stream_cut" })
      assert.deepStrictEqual(ledger.charged, [1])
      yield* backend.use(charge(2))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ledger.charged, [1, 2])
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
    })
  )

  it.effect("of a call that may be executed twice is executed twice, and answered", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* server.dropAnswer()
      yield* backend.use(charge(1), { idempotent: true })
      assert.deepStrictEqual(ledger.charged, [1, 1])
    })
  )

  it.effect("is for calls of that tool alone, and for one", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* backend.awaitConnected
      yield* server.dropAnswer("wait")
      yield* backend.probe
      yield* backend.use(charge(1))
      const call = yield* fork(Effect.flip(backend.use(wait)))
      yield* server.untilCalled("wait")
      for (const end of ledger.waiting) end()
      assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
      const again = yield* fork(backend.use(wait))
      yield* server.untilCalled("wait", 2)
      for (const end of ledger.waiting) end()
      assert.deepStrictEqual(yield* Fiber.join(again), { content: [] })
    })
  )
})

describe("delay", () => {
  it.effect("is how long an answer takes, in the time of the test", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      yield* backend.awaitConnected
      yield* server.delay("3 seconds")
      const call = yield* fork(Effect.timed(backend.use(charge(1))))
      yield* TestClock.adjust("2999 millis")
      assert.strictEqual(call.pollUnsafe(), undefined)
      assert.deepStrictEqual(ledger.charged, [1])
      yield* TestClock.adjust("1 millis")
      const [took] = yield* Fiber.join(call)
      assert.strictEqual(Duration.toMillis(took), 3000)
    })
  )

  it.effect("beyond the timeout of a probe makes the backend unhealthy, and then replaces the session", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ timeout: "5 seconds" })
      yield* backend.awaitConnected
      yield* server.delay("10 seconds")
      assert.deepInclude(
        yield* backend.probe.pipe(fork, Effect.tap(TestClock.adjust("5 seconds")), Effect.flatMap(Fiber.join)),
        {
          _tag: "Unhealthy",
          reason: "timeout"
        }
      )
      yield* TestClock.adjust("1 minute")
      assert.isAbove((yield* server.sessions).attempts, 1)
    })
  )

  it.effect("does not end a long call that reports its progress", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ timeout: "5 seconds", inFlightGrace: "1 minute" })
      const call = yield* fork(
        backend.use((client) => client.callTool({ name: "wait" }, undefined, { onprogress: () => {} }))
      )
      yield* server.untilCalled("wait")
      for (let minute = 0; minute < 3; minute++) {
        yield* TestClock.adjust("50 seconds")
        for (const report of ledger.waiting) report()
      }
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
      yield* Fiber.interrupt(call)
    })
  )
})
