/** When a healthy backend is asked: always, in use, or never. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backend, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { untimed } from "../src/ConnectionState.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

/** Its default policy, but for an interval of 30 seconds. */
const start = (options: ScriptedServer.Options, policy: KeepalivePolicy.Options = {}) =>
  Effect.gen(function* () {
    const server = ScriptedServer.make(options)
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const backend = yield* Backend.make({
      id: "scripted",
      connector: server.connector,
      policy: { interval: "30 seconds", ...policy }
    }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(event))))
    yield* backend.awaitConnected
    const told = (tag: KeepaliveEvent.KeepaliveEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
    const held = <A>(callback: (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => Promise<A>) =>
      Effect.forkChild(Effect.exit(backend.use(callback)), { startImmediately: true })
    return { backend, events, held, server, told }
  })

/** The latest end of what is dead, by the policy's numbers, where no call excuses it. */
const detection = { interval: 30, timeout: 10, confirmInterval: 5, failureThreshold: 3 }
const bound =
  detection.interval * 1.1 +
  detection.timeout +
  (detection.failureThreshold - 1) * (detection.confirmInterval + detection.timeout)

const stateless = [
  ["of the legacy era without a session", { stateful: false }],
  ["of the modern era over HTTP", { era: "modern", stateful: false }]
] as const

for (const [name, kind] of stateless) {
  describe(`a backend ${name}, with auto,`, () => {
    it.effect("is asked nothing while nobody calls, from its beginning on", () =>
      Effect.gen(function* () {
        const { backend, server, told } = yield* start(kind)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(server.counts.probes, 0)
        yield* backend.use(echo)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(server.counts.probes, 0)
        assert.strictEqual(told("ProbeSuppressed"), 0)
        assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
      })
    )

    it.effect("is asked at the interval while a call waits for its answer, and not any more once that has come", () =>
      Effect.gen(function* () {
        const { held, server } = yield* start(kind)
        server.script.latency = "10 minutes"
        const call = yield* held(echo)
        server.script.latency = 0
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual((yield* Fiber.join(call))._tag, "Success")
        const { probes } = server.counts
        assert.isAtLeast(probes, 18)
        assert.isAtMost(probes, 24)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(server.counts.probes, probes)
      })
    )

    it.effect("is spared by calls that are answered, as often as one comes before its probe is due", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* start(kind)
        yield* Effect.repeat(Effect.andThen(backend.use(echo), TestClock.adjust("10 seconds")), { times: 30 })
        assert.strictEqual(server.counts.probes, 0)
      })
    )

    it.effect("that freezes under a call is noticed within the bound, and the call has its true answer", () =>
      Effect.gen(function* () {
        const { backend, held, server } = yield* start(kind, { inFlightGrace: "20 seconds" })
        yield* TestClock.adjust("1 hour")
        server.script.call = () => ScriptedServer.silence
        server.script.probe = ScriptedServer.silence
        server.script.connect = ScriptedServer.unreachable()
        const call = yield* held(echo)
        yield* TestClock.adjust(Duration.seconds(bound))
        assert.include(["Disconnected", "CircuitOpen"], (yield* backend.state)._tag)
        const error = yield* Effect.flip(Effect.flatten(Fiber.join(call)))
        assert.deepInclude(error, { _tag: "OutcomeUnknown", reason: "timeout" })
        assert.deepStrictEqual(server.executed, ["echo"])
      })
    )

    it.effect("that freezes at rest is noticed under the next call, from the first question on", () =>
      Effect.gen(function* () {
        const { backend, held, server } = yield* start(kind, { inFlightGrace: "20 seconds" })
        yield* backend.use(echo)
        server.script.probe = ScriptedServer.silence
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
        server.script.call = () => ScriptedServer.silence
        const call = yield* held(echo)
        yield* TestClock.adjust(Duration.seconds(bound))
        const error = yield* Effect.flip(Effect.flatten(Fiber.join(call)))
        assert.strictEqual(error._tag, "OutcomeUnknown")
      })
    )

    it.effect("is asked at once where a call met a failure of the transport, and stays if it answers", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* start(kind)
        server.script.call = () => ScriptedServer.cut
        yield* Effect.flip(backend.use(echo))
        assert.strictEqual(server.counts.probes, 1)
        assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(server.counts.probes, 1)
      })
    )

    it.effect("is asked at rest as well where the policy names a question", () =>
      Effect.gen(function* () {
        for (const probe of ["ping", "discover", "list-tools"] as const) {
          const { server } = yield* start(kind, { probe })
          yield* TestClock.adjust("10 minutes")
          assert.isAtLeast(server.counts.probes, 18)
        }
      })
    )

    it.effect("is asked at rest from when the policy names a question until it names none any more", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* start(kind)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(server.counts.probes, 0)
        yield* backend.reconfigure({ policy: { interval: "30 seconds", probe: "ping" } })
        yield* TestClock.adjust("10 minutes")
        assert.isAtLeast(server.counts.probes, 18)
        yield* backend.reconfigure({ policy: { interval: "30 seconds" } })
        const { probes } = server.counts
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(server.counts.probes, probes)
      })
    )
  })
}

describe("a backend for which something lives over there", () => {
  it.effect("is asked while nobody calls, in both eras alike, and is noticed when it freezes", () =>
    Effect.gen(function* () {
      for (const era of ["legacy", "modern"] as const) {
        const { server, told } = yield* start({ era, stateful: true })
        yield* TestClock.adjust("10 minutes")
        assert.isAtLeast(server.counts.probes, 18)
        server.script.probe = ScriptedServer.silence
        yield* TestClock.adjust(Duration.seconds(bound))
        assert.strictEqual(told("SessionClosed"), 1)
      }
    })
  )

  it.effect("is asked before callers get it, unless the handshake was the question", () =>
    Effect.gen(function* () {
      const asked = (era: "legacy" | "modern", probe: KeepalivePolicy.ProbeMethod) =>
        Effect.map(start({ era }, { probe }), ({ server }) => server.counts.probes)
      assert.strictEqual(yield* asked("legacy", "auto"), 1)
      assert.strictEqual(yield* asked("modern", "auto"), 0)
      assert.strictEqual(yield* asked("modern", "ping"), 0)
      assert.strictEqual(yield* asked("modern", "list-tools"), 1)
    })
  )

  it.effect("is asked in depth before callers get it where only that is evidence, also in the modern era", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ era: "modern" }, { failureThreshold: 1, stableAfter: 0 })
      server.script.call = () => ScriptedServer.error(-32000)
      server.script.probe = ScriptedServer.error(-32000)
      yield* Effect.flip(backend.use(echo))
      yield* TestClock.adjust("5 seconds")
      const { attempts, probes } = server.counts
      assert.isAbove(attempts, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.probes - probes, server.counts.attempts - attempts)
      assert.notStrictEqual((yield* backend.state)._tag, "Connected")
      server.script.probe = ScriptedServer.answer
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
    })
  )
})

describe("a use that makes no request, as where the client answers from its cache,", () => {
  const cached = () => Promise.resolve([])

  it.effect("is no life: a backend that misses probes goes on missing them", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ stateful: true })
      server.script.probe = ScriptedServer.unreachable("reset")
      yield* backend.probe
      const before = yield* backend.state
      assert.strictEqual(before._tag, "Unhealthy")
      assert.deepStrictEqual(yield* backend.use(cached), [])
      assert.deepStrictEqual(yield* backend.state, before)
    })
  )

  it.effect("makes no probe needless, and proves no session stable", () =>
    Effect.gen(function* () {
      const { backend, server, told } = yield* start({ stateful: true }, { stableAfter: "1 second" })
      const uses = Effect.repeat(Effect.andThen(backend.use(cached), TestClock.adjust("5 seconds")), { times: 120 })
      yield* uses
      assert.isAtLeast(server.counts.probes, 18)
      assert.strictEqual(told("ProbeSuppressed"), 0)

      const young = yield* start({ stateful: true }, { stableAfter: "1 second", interval: "1 hour" })
      yield* TestClock.adjust("2 seconds")
      yield* young.backend.use(cached)
      assert.strictEqual(young.told("Stabilized"), 0)
      yield* young.backend.use(echo)
      assert.strictEqual(young.told("Stabilized"), 1)
    })
  )

  it.effect("is no reason to ask a server that is asked only in use, however long it takes", () =>
    Effect.gen(function* () {
      const { held, server } = yield* start({ era: "modern", stateful: false })
      let end = () => {}
      const thinking = yield* held(() => new Promise<void>((resolve) => (end = resolve)))
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(server.counts.probes, 0)
      end()
      yield* Fiber.join(thinking)
    })
  )

  it.effect("but asks something at last: then that server is asked as under any call", () =>
    Effect.gen(function* () {
      const { held, server } = yield* start({ era: "modern", stateful: false })
      let go = () => {}
      const gone = new Promise<void>((resolve) => (go = resolve))
      server.script.call = () => ScriptedServer.silence
      yield* held(async (client, signal) => {
        await gone
        return echo(client, signal)
      })
      yield* TestClock.adjust("2 hours")
      go()
      yield* Effect.promise(() => gone)
      yield* TestClock.adjust("34 seconds")
      assert.isAtLeast(server.counts.probes, 1)
    })
  )

  it.effect("nor is a session that is pinned between its calls", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ stateful: false })
      yield* backend.pinned((session) =>
        Effect.gen(function* () {
          yield* session.use(echo)
          yield* TestClock.adjust("2 hours")
          assert.strictEqual(server.counts.probes, 0)
          server.script.latency = "1 minute"
          const call = yield* Effect.forkChild(session.use(echo), { startImmediately: true })
          server.script.latency = 0
          yield* TestClock.adjust("1 minute")
          yield* Fiber.join(call)
        })
      )
      assert.isAtLeast(server.counts.probes, 1)
    })
  )
})

describe("at rest", () => {
  /** A clock that counts who wakes on it. */
  const counting = TestClock.testClockWith((clock) => {
    let woken = 0
    const counted: Clock.Clock = {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => Effect.tap(clock.sleep(duration), () => Effect.sync(() => woken++))
    }
    return Effect.succeed({ adjust: clock.adjust, clock: counted, woken: () => woken })
  })

  const wakes = (policy: KeepalivePolicy.Options, isPinned = false) =>
    Effect.flatMap(counting, ({ adjust, clock, woken }) =>
      Effect.gen(function* () {
        const { backend } = yield* start({ era: "modern", stateful: false }, policy)
        yield* backend.use(echo)
        const resting = Effect.gen(function* () {
          yield* adjust("10 minutes")
          const before = woken()
          yield* adjust("6 hours")
          return woken() - before
        })
        return yield* isPinned ? backend.pinned(() => resting) : resting
      }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
    )

  it.effect("what is asked only in use wakes no more often than what is never asked", () =>
    Effect.gen(function* () {
      const never = yield* wakes({ probe: "none" })
      assert.strictEqual(yield* wakes({ probe: "auto" }), never)
      assert.strictEqual(yield* wakes({ probe: "auto" }, true), never)
      assert.isAbove(yield* wakes({ probe: "ping" }), never)
    })
  )
})
