/** What was seen is told: in events, in errors, and never in words of the server's. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backend, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const keep = Effect.fnUntraced(function* (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend = yield* Backend.make({
    id: "scripted",
    connector: server.connector,
    policy: { interval: "30 seconds", stableAfter: 0, ...policy }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  const details = (tag: "AttemptFailed" | "ProbeFailed" | "SessionClosed") =>
    events.flatMap((event) => (event._tag === tag && "detail" in event ? [event.detail] : []))
  return { backend, details, events }
})

const reset = ScriptedServer.unreachable("reset", { summary: "ECONNRESET on read", output: [] }, "ECONNRESET")
const expired = ScriptedServer.unreachable("tls", undefined, "CERT_HAS_EXPIRED")

describe("what was seen", () => {
  const seen: ReadonlyArray<readonly [reply: ScriptedServer.Reply, summary: string]> = [
    [ScriptedServer.refuse(503), "HTTP 503"],
    [ScriptedServer.refuse(418), "HTTP 418"],
    [ScriptedServer.refuse(302), "HTTP 302"],
    [ScriptedServer.error(-32000), "JSON-RPC error -32000"],
    [reset, "ECONNRESET on read"],
    [expired, "CERT_HAS_EXPIRED"]
  ]

  for (const [reply, summary] of seen) {
    it.effect(`by a failed attempt is in its event and in the errors of calls: ${summary}`, () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script.connect = reply
        const { backend, details } = yield* keep(server, { circuit: { failures: 1 } })
        assert.deepStrictEqual(details("AttemptFailed"), [summary])
        const error = yield* Effect.flip(backend.use(echo))
        assert(error._tag === "CallRejected")
        assert.strictEqual(error.detail?.summary, summary)
        assert.include(error.message, summary)
      })
    )
  }

  it.effect("by a failed attempt, of which the transport says nothing, is told beside what the server wrote", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.error(-32000)
      const backend = yield* Backend.make({
        id: "scripted",
        connector: {
          ...server.connector,
          open: (host) => {
            host.output(() => ["no database"])
            return server.connector.open(host)
          }
        },
        policy: { circuit: { failures: 1 } }
      })
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "CallRejected")
      assert.deepStrictEqual(error.detail, { summary: "JSON-RPC error -32000", output: ["no database"] })
    })
  )

  it.effect("by rejected and by busy attempts is told too", () =>
    Effect.gen(function* () {
      const rejecting = ScriptedServer.make()
      rejecting.script.connect = ScriptedServer.refuse(401)
      const rejected = yield* keep(rejecting)
      assert.deepStrictEqual(rejected.details("AttemptFailed"), ["HTTP 401", "HTTP 401"])
      const error = yield* Effect.flip(rejected.backend.use(echo))
      assert(error._tag === "CallRejected")
      assert.strictEqual(error.detail?.summary, "HTTP 401")
      const resting = ScriptedServer.make()
      resting.script.connect = ScriptedServer.refuse(429, "1 minute")
      const busy = yield* keep(resting)
      const unavailable = yield* Effect.flip(busy.backend.use(echo))
      assert(unavailable._tag === "SessionUnavailable")
      assert.strictEqual(unavailable.detail?.summary, "HTTP 429")
    })
  )

  it.effect("by failed probes is in their events, and in the end of the session and of its calls", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, details } = yield* keep(server, { failureThreshold: 2 })
      yield* backend.use(echo)
      server.script.call = () => ScriptedServer.silence
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      server.script.probe = ScriptedServer.refuse(503)
      server.script.connect = reset
      yield* backend.probe
      yield* backend.probe
      assert.deepStrictEqual(details("ProbeFailed"), ["HTTP 503", "HTTP 503"])
      assert.deepStrictEqual(details("SessionClosed"), ["HTTP 503"])
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.detail?.summary, "HTTP 503")
    })
  )

  it.effect("by the call that cost a session without probes is in the end of that session", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, details } = yield* keep(server, { probe: "none" })
      yield* backend.use(echo)
      server.script.call = () => ScriptedServer.refuse(502)
      yield* Effect.flip(backend.use(echo))
      assert.deepStrictEqual(details("SessionClosed"), ["HTTP 502"])
    })
  )

  it.effect("that exceeds a bound is an overflow, of an attempt, a probe and a call", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.overflow
      const { backend, events } = yield* keep(server, { failureThreshold: 1, circuit: "none", interval: "1 hour" })
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Disconnected", attempt: 1, reason: "overflow" })
      server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("2 seconds")
      server.script.call = () => ScriptedServer.overflow
      server.script.probe = ScriptedServer.overflow
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "overflow")
      assert.deepStrictEqual(
        events.flatMap((event) => ("reason" in event ? [`${event._tag}: ${event.reason}`] : [])),
        ["AttemptFailed: overflow", "ProbeFailed: overflow", "SessionClosed: overflow", "CallSettled: overflow"]
      )
    })
  )

  it.effect("before the session was well again is forgotten", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const policy = { interval: "1 hour", waitForSession: "1 second", staleAfter: "1 minute" } as const
      const { backend } = yield* keep(server, policy)
      yield* backend.use(echo)
      server.script.probe = ScriptedServer.refuse(503)
      yield* backend.probe
      server.script.probe = ScriptedServer.silence
      // an answered call makes it well, without a probe
      yield* backend.use(echo)
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      // after a long silence a call is preceded by a probe, which takes longer than there is time
      yield* TestClock.adjust("2 minutes")
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(call)
      assert(error._tag === "SessionUnavailable")
      assert.strictEqual(error.state, "Connected")
      assert.isUndefined(error.detail)
    })
  )

  it.effect("before a session was closed on purpose, or was well again, is not why it was closed", () =>
    Effect.gen(function* () {
      for (const isWell of [true, false]) {
        const server = ScriptedServer.make()
        const { backend, details } = yield* keep(server)
        yield* backend.use(echo)
        server.script.probe = ScriptedServer.refuse(503)
        yield* backend.probe
        server.script.probe = ScriptedServer.answer
        if (isWell) yield* backend.probe
        yield* backend.isolate
        assert.deepStrictEqual(details("SessionClosed"), [undefined])
        const error = yield* Effect.flip(backend.use(echo))
        assert(error._tag === "CallRejected")
        assert.isUndefined(error.detail)
      }
    })
  )

  it.effect("by a call is its code: a status, the server's error, an errno", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend } = yield* keep(server)
      yield* backend.awaitConnected
      for (const [reply, reason, code] of [
        [ScriptedServer.refuse(422), "http_4xx", 422],
        [ScriptedServer.refuse(429), "busy", 429],
        [ScriptedServer.error(-32602), undefined, -32602],
        [ScriptedServer.error(-32000), undefined, -32000],
        [reset, "reset", "ECONNRESET"],
        [expired, "tls", "CERT_HAS_EXPIRED"]
      ] as const) {
        server.script.call = () => reply
        const error = yield* Effect.flip(backend.use(echo))
        assert(error._tag === "CallFailed", error._tag)
        assert.deepStrictEqual([error.reason, error.code], [reason, code])
        assert.include(error.message, `${code}`)
      }
      const own = yield* Effect.flip(backend.use(() => Promise.reject(new Error("mine"))))
      assert(own._tag === "CallFailed")
      assert.isUndefined(own.code)
    })
  )
})

describe("when to try again", () => {
  it.effect("is told by an outcome that is unknown after 503 with Retry-After", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend } = yield* keep(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(503, "20 seconds")
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "busy")
      assert.strictEqual(error.detail?.summary, "HTTP 503")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(20))
    })
  )

  it.effect("is told while a trial runs: when its lease ends, and why the circuit was open", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.refuse(503)
      const { backend } = yield* keep(server, {
        circuit: { failures: 1, openFor: "10 seconds" },
        connectTimeout: "20 seconds"
      })
      server.script.connect = ScriptedServer.silence
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("5 seconds")
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "CallRejected")
      assert.strictEqual(error.state, "Connecting")
      assert.strictEqual(error.reason, "http_5xx")
      assert.strictEqual(error.detail?.summary, "HTTP 503")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(15))
    })
  )

  it.effect("is no reason to be turned away by an attempt that is no trial", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.latency = "4 seconds"
      const { backend } = yield* keep(server, { connectTimeout: "1 minute", waitForSession: "10 seconds" })
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
    })
  )
})

describe("a server that is busy without an end", () => {
  it.effect("with Retry-After: 0 opens the circuit in the end", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.refuse(429, 0)
      const { backend } = yield* keep(server, { circuit: { failures: 2 } })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "CircuitOpen", openings: 1, reason: "busy" })
      const { attempts } = server.counts
      assert.isAtMost(attempts, 9)
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(server.counts.attempts - attempts, 14)
    })
  )
})
