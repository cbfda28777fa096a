/** What becomes of a session whose server is of another era now, and of what is told of the streams that a session keeps open. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backend, Evidence, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { untimed } from "../src/ConnectionState.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const start = (options: ScriptedServer.Options, policy: KeepalivePolicy.Options = {}) =>
  Effect.gen(function* () {
    const server = ScriptedServer.make(options)
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const backend = yield* Backend.make({
      id: "scripted",
      connector: server.connector,
      policy: { interval: "1 hour", stableAfter: 0, ...policy }
    }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(event))))
    yield* backend.awaitConnected
    // so that it is stable
    yield* backend.use(echo)
    const state = Effect.map(backend.state, untimed)
    const closed = () =>
      events.flatMap((event) => (event._tag === "SessionClosed" ? [[event.reason, event.detail]] : []))
    return { backend, closed, server, state }
  })

const connected = (generation: number) => ({ _tag: "Connected", generation }) as const

const modern = [
  ["over HTTP", { era: "modern", stateful: false }],
  ["over stdio", { era: "modern", stateful: true, exclusive: true, separateAnswers: false }]
] as const

for (const [name, kind] of modern) {
  describe(`a server of the modern era ${name}`, () => {
    for (const code of [-32601, -32022]) {
      it.effect(
        `that answers discover with ${code} is of another era now: its session is lost, once it was asked twice`,
        () =>
          Effect.gen(function* () {
            const { backend, closed, server, state } = yield* start(kind)
            const { probes } = server.counts
            server.script.probe = ScriptedServer.error(code)
            yield* backend.probe
            assert.strictEqual(server.counts.probes, probes + 2)
            assert.deepStrictEqual(closed(), [["session_lost", `JSON-RPC error ${code}`]])
            yield* TestClock.adjust("1 second")
            assert.deepStrictEqual(yield* state, connected(2))
          })
      )

      it.effect(`that answers discover with ${code} once, in a deployment perhaps, keeps its session`, () =>
        Effect.gen(function* () {
          const { backend, server, state } = yield* start(kind)
          server.script.probe = ScriptedServer.error(code)
          server.script.latency = "1 second"
          const asked = yield* Effect.forkChild(backend.probe, { startImmediately: true })
          server.script.probe = ScriptedServer.answer
          yield* TestClock.adjust("3 seconds")
          yield* Fiber.join(asked)
          assert.deepStrictEqual(yield* state, connected(1))
        })
      )
    }

    it.effect("that refuses a call as of another revision is asked: lost, and the call is sent once on the next", () =>
      Effect.gen(function* () {
        const { backend, closed, server, state } = yield* start(kind)
        server.script.probe = ScriptedServer.error(-32022)
        const replies = [ScriptedServer.refuse(400)]
        server.script.call = () => replies.shift() ?? ScriptedServer.answer
        const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(call), "echo")
        assert.deepStrictEqual(server.executed, ["echo", "echo"])
        assert.deepStrictEqual(closed(), [["session_lost", "JSON-RPC error -32022"]])
        assert.deepStrictEqual(yield* state, connected(2))
      })
    )

    it.effect("that answers a call with -32022 is asked: where it knows discover, that was the call's own error", () =>
      Effect.gen(function* () {
        const { backend, server, state } = yield* start(kind)
        const { probes } = server.counts
        server.script.call = () => ScriptedServer.error(-32022)
        const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
        assert.deepInclude(error, { _tag: "CallFailed", reason: undefined, code: -32022 })
        assert.strictEqual(server.counts.probes, probes + 1)
        assert.deepStrictEqual(yield* state, connected(1))
        server.script.probe = ScriptedServer.error(-32022)
        assert.deepInclude(yield* Effect.flip(backend.use(echo)), { _tag: "CallFailed", code: -32022 })
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* state, connected(2))
      })
    )

    it.effect("whose result is none of the agreed revision was executed: never again, and the session is asked", () =>
      Effect.gen(function* () {
        const { backend, server, state } = yield* start(kind, { trustAnnotations: true })
        const { probes } = server.counts
        server.script.call = () => ScriptedServer.disagree
        server.script.request = () => ScriptedServer.disagree
        const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
        assert.deepInclude(error, { _tag: "CallFailed", reason: undefined })
        assert.deepStrictEqual(server.executed, ["echo", "echo"])
        assert.strictEqual(server.counts.probes, probes + 1)
        const read = yield* Effect.flip(backend.use((client) => client.request("resources/read")))
        assert.deepInclude(read, { _tag: "CallFailed", reason: undefined })
        assert.strictEqual(server.counts.probes, probes + 2)
        assert.deepStrictEqual(yield* state, connected(1))
      })
    )

    it.effect("that accepts no further subscription (-32603) lives: it is asked for its tools, and stays", () =>
      Effect.gen(function* () {
        const { backend, closed, server, state } = yield* start(kind)
        const { probes } = server.counts
        server.script.request = () => ScriptedServer.error(-32603)
        const error = yield* Effect.flip(backend.use((client) => client.request("subscriptions/listen")))
        assert.deepInclude(error, { _tag: "CallFailed", reason: undefined, code: -32603 })
        assert.strictEqual(server.counts.probes, probes + 1)
        // and the same where the transport asked for it
        yield* TestClock.adjust("1 minute")
        server.observe(Evidence.errorAnswer(-32603))
        assert.strictEqual(server.counts.probes, probes + 2)
        assert.deepStrictEqual(closed(), [])
        assert.deepStrictEqual(yield* state, connected(1))
      })
    )
  })
}

describe("a session under which its server dies", () => {
  for (const method of ["server/discover", "subscriptions/listen", "tasks/get", "tasks/list", "tasks/result"]) {
    it.effect(`has its ${method} sent again on the next: it changes nothing`, () =>
      Effect.gen(function* () {
        const { backend, server } = yield* start({ era: "modern", stateful: false })
        server.script.request = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(
          backend.use((client) => client.request(method)),
          { startImmediately: true }
        )
        server.script.request = () => ScriptedServer.answer
        server.kill("reset")
        assert.strictEqual(yield* Fiber.join(call), method)
      })
    )
  }

  for (const method of ["tasks/cancel", "tasks/update", "logging/setLevel", "tools/call"]) {
    it.effect(`has its ${method} not sent again: its caller learns that the outcome is unknown`, () =>
      Effect.gen(function* () {
        const { backend, server } = yield* start({ era: "modern", stateful: false })
        server.script.request = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(Effect.flip(backend.use((client) => client.request(method))), {
          startImmediately: true
        })
        server.script.request = () => ScriptedServer.answer
        server.kill("reset")
        assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
      })
    )
  }
})

describe("a ghost: a server that ignores the session id, and answers every probe and every call", () => {
  const notOffered = Evidence.refused({ status: 405, withSession: true })

  it.effect("is known by its 405 to the stream that was open before: the session is lost, without a question", () =>
    Effect.gen(function* () {
      const { backend, closed, server, state } = yield* start({ stateful: true })
      const { probes } = server.counts
      server.observe(notOffered)
      assert.deepStrictEqual(closed(), [["session_lost", "HTTP 405"]])
      yield* backend.awaitConnected
      assert.deepStrictEqual(yield* state, connected(2))
      // that of the new session, before callers get it
      assert.strictEqual(server.counts.probes, probes + 1)
    })
  )

  it.effect("is a lost session whatever the policy asks", () =>
    Effect.gen(function* () {
      for (const probe of ["ping", "list-tools", "options", "none"] as const) {
        const { backend, server, state } = yield* start({ stateful: true }, { probe })
        server.observe(notOffered)
        yield* backend.awaitConnected
        assert.deepStrictEqual(yield* state, connected(2))
      }
    })
  )

  it.effect("gets no further call of those that are pinned to the session: SessionReplaced", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ stateful: true })
      const error = yield* Effect.flip(
        backend.pinned((session) =>
          Effect.gen(function* () {
            yield* session.use(echo)
            server.observe(notOffered)
            return yield* session.use(echo)
          })
        )
      )
      assert.deepInclude(error, { _tag: "SessionReplaced", generation: 1 })
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
    })
  )

  it.effect("may answer what it has begun: the truth, within the timeout; later, the outcome is unknown", () =>
    Effect.gen(function* () {
      for (const [latency, outcome] of [
        ["3 seconds", "Success"],
        ["1 minute", "Failure"]
      ] as const) {
        const { backend, server } = yield* start({ stateful: true }, { timeout: "10 seconds" })
        server.script.latency = latency
        const call = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
        server.script.latency = 0
        server.observe(notOffered)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Fiber.join(call))._tag, outcome)
        assert.strictEqual(server.executed.length, 2)
      }
    })
  )

  it.effect("may answer what it has begun also where a second sign says the same: it is known by then", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ stateful: true }, { timeout: "10 seconds" })
      server.script.latency = "3 seconds"
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.latency = 0
      server.script.probe = ScriptedServer.refuse(404)
      server.observe(Evidence.refused({ status: 404, withSession: true }))
      server.script.probe = ScriptedServer.answer
      server.observe(notOffered)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
    })
  )

  it.effect("is none where a server without sessions offers no stream", () =>
    Effect.gen(function* () {
      const { server, state } = yield* start({ stateful: false })
      server.observe(Evidence.refused({ status: 405, withSession: false }))
      assert.deepStrictEqual(yield* state, connected(1))
      assert.strictEqual(server.counts.probes, 0)
    })
  )

  it.effect("that is met while a session is being opened fails that attempt", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      let met = 0
      const backend = yield* Backend.make({
        id: "scripted",
        connector: server.connector,
        setup: () => Effect.sync(() => (met++ === 0 ? server.observe(notOffered) : undefined))
      })
      assert.deepStrictEqual(untimed(yield* backend.state), {
        _tag: "Disconnected",
        attempt: 1,
        reason: "session_lost"
      })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), connected(1))
    })
  )
})

describe("a kept stream that misses the comments which came on it before", () => {
  const silent = Evidence.transportFailure("timeout")

  it.effect("is a doubt that one probe decides: a server that answers it stays", () =>
    Effect.gen(function* () {
      for (const kind of [{ stateful: true }, { era: "modern", stateful: false }] as const) {
        const { server, state } = yield* start(kind)
        const { probes } = server.counts
        server.observe(silent)
        assert.strictEqual(server.counts.probes, probes + 1)
        assert.deepStrictEqual(yield* state, connected(1))
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual(server.counts.probes, probes + 1)
      }
    })
  )

  it.effect("is how a frozen server is noticed at rest that is never asked there", () =>
    Effect.gen(function* () {
      const { closed, server } = yield* start({ era: "modern", stateful: false }, { timeout: "10 seconds" })
      server.script.probe = ScriptedServer.silence
      yield* TestClock.adjust("1 hour")
      server.observe(silent)
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(closed(), [["timeout", undefined]])
    })
  )

  it.effect("ends no session without probes at once: one question decides, and more while it is missed", () =>
    Effect.gen(function* () {
      const { closed, server, state } = yield* start({ stateful: true }, { probe: "none", timeout: "10 seconds" })
      server.observe(silent)
      assert.strictEqual(server.counts.probes, 1)
      assert.deepStrictEqual(yield* state, connected(1))
      server.script.probe = ScriptedServer.silence
      server.observe(silent)
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(closed(), [["timeout", undefined]])
    })
  )
})
