import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Queue, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector: server.connector, policy: { interval: "30 seconds", ...policy } })

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

describe("a healthy backend", () => {
  it.effect("connects when made, runs calls and closes its session with its scope", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* make(server)
          yield* backend.awaitConnected
          assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
          assert.strictEqual(yield* backend.use(echo), "echo")
          assert.strictEqual(server.counts.open, 1)
        })
      )
      assert.deepStrictEqual(server.executed, ["echo"])
      assert.strictEqual(server.counts.open, 0)
    })
  )

  it.effect("connects for the first call only, where the policy says lazy, and sleeps when nobody calls", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { connect: "lazy", idleAfter: "10 minutes" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.attempts, 0)
      yield* backend.use(echo)
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Idle" })
      assert.strictEqual(server.counts.open, 0)
      yield* backend.use(echo)
      assert.strictEqual(server.counts.attempts, 2)
    })
  )

  it.effect("is probed at the interval, and an answered call makes the next probe needless", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      yield* TestClock.adjust("10 minutes")
      const probes = server.counts.probes
      assert.isAtLeast(probes, 18)
      assert.isAtMost(probes, 24)
      yield* Effect.repeat(Effect.andThen(backend.use(echo), TestClock.adjust("10 seconds")), { times: 30 })
      assert.isAtMost(server.counts.probes - probes, 1)
    })
  )
})

describe("a backend that dies", () => {
  it.effect("goes CONNECTED, UNHEALTHY, DISCONNECTED and comes back with backoff", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { circuit: "none" })
      yield* backend.awaitConnected
      const states = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(backend.changes, (state) => Queue.offer(states, state._tag)))
      yield* TestClock.adjust("2 minutes")
      server.script.probe = ScriptedServer.silence
      server.script.connect = ScriptedServer.unreachable("refused")
      yield* TestClock.adjust("90 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Disconnected")
      server.script.probe = ScriptedServer.answer
      server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 2 })
      const seen = yield* Queue.takeAll(states)
      assert.deepStrictEqual(seen.filter((tag, index) => tag !== seen[index - 1]).slice(0, 4), [
        "Connected",
        "Unhealthy",
        "Connecting",
        "Disconnected"
      ])
    })
  )

  it.effect("opens the circuit, rejects calls with the time to wait, tries again, and heals", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.unreachable("refused")
      const backend = yield* make(server, { circuit: { failures: 2 } })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "CircuitOpen", openings: 1, reason: "refused" })
      const rejected = yield* failure(backend.use(echo))
      assert.strictEqual(rejected._tag, "CallRejected")
      assert(rejected._tag === "CallRejected")
      assert.strictEqual(rejected.reason, "refused")
      assert.isDefined(rejected.retryAfter)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "CircuitOpen", openings: 2, reason: "refused" })
      server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      assert.strictEqual(yield* backend.use(echo), "echo")
    })
  )

  it.effect("sends a call again that the server refused because it had forgotten the session", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.awaitConnected
      yield* backend.use(echo)
      server.forgetSessions()
      assert.strictEqual(yield* backend.use(echo), "echo")
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 2 })
    })
  )

  it.effect("keeps the session when a call meets an ordinary 400", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(400)
      const error = yield* failure(backend.use(echo))
      assert.strictEqual(error._tag, "CallFailed")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  it.effect("fails a call in flight with OutcomeUnknown at once, or runs it again if it is idempotent", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.awaitConnected
      yield* backend.use(echo)
      server.script.call = () => ScriptedServer.silence
      const unsafe = yield* Effect.forkChild(failure(backend.use(echo)))
      const safe = yield* Effect.forkChild(backend.use(echo, { idempotent: true }))
      yield* Effect.yieldNow
      server.script.call = () => ScriptedServer.answer
      server.kill("reset")
      const error = yield* Fiber.join(unsafe)
      assert.strictEqual(error._tag, "OutcomeUnknown")
      assert.strictEqual(yield* Fiber.join(safe), "echo")
      assert.strictEqual(server.executed.length, 4)
    })
  )

  it.effect("fails pinned calls with SessionReplaced once their session is gone", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const exit = yield* Effect.exit(
        backend.pinned((session) =>
          Effect.gen(function* () {
            yield* session.use(echo)
            server.kill("reset")
            yield* session.use(echo)
          })
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(server.executed, ["echo"])
    })
  )
})

describe("an operator", () => {
  it.effect("replaces a session without a gap, while the old one drains", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.latency = "5 seconds"
      const call = yield* Effect.forkChild(backend.use(echo))
      yield* Effect.yieldNow
      server.script.latency = 0
      const state = yield* backend.reconnect
      assert.deepStrictEqual(untimed(state), { _tag: "Connected", generation: 2 })
      assert.strictEqual(server.counts.open, 2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      yield* Effect.yieldNow
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect(
    "has a call of the old session run at once on the new one, when it was refused before it was executed",
    () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const backend = yield* make(server)
        yield* backend.awaitConnected
        server.script.latency = "5 seconds"
        server.script.call = () => ScriptedServer.refuse(404)
        const call = yield* Effect.forkChild(backend.use(echo))
        yield* Effect.yieldNow
        server.script.latency = 0
        server.script.call = () => ScriptedServer.answer
        yield* backend.reconnect
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Fiber.join(call), "echo")
        assert.deepStrictEqual(server.executed, ["echo"])
      })
  )

  it.effect("reconnects also to a server that allows one session only", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.singleSession = true
      const backend = yield* make(server)
      yield* backend.awaitConnected
      assert.deepStrictEqual(untimed(yield* backend.reconnect), { _tag: "Connected", generation: 2 })
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect("isolates a backend until it is reset", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.silence
      const call = yield* Effect.forkChild(failure(backend.use(echo)))
      yield* Effect.yieldNow
      yield* backend.isolate
      assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
      assert.strictEqual((yield* failure(backend.use(echo)))._tag, "CallRejected")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* backend.state)._tag, "Isolated")
      server.script.call = () => ScriptedServer.answer
      yield* backend.reset
      yield* backend.awaitConnected
      assert.strictEqual(yield* backend.use(echo), "echo")
    })
  )
})

describe("bad input", () => {
  it.effect("is reported all at once, with path and bound, before anything connects", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const error = yield* failure(
        Backend.make({
          id: "",
          connector: server.connector,
          policy: {
            interval: "500 millis",
            timeout: "2 hours",
            failureThreshold: 0,
            stableAfter: -1,
            probe: { method: "tool", tool: { name: "" } }
          }
        })
      )
      assert.deepStrictEqual(
        error.issues.map((issue) => issue.path.join(".")),
        [
          "id",
          "policy.interval",
          "policy.probe.tool.name",
          "policy.timeout",
          "policy.failureThreshold",
          "policy.stableAfter"
        ]
      )
      assert.strictEqual(server.counts.attempts, 0)
    })
  )
})

describe("a doubt", () => {
  it.effect("about credentials is decided by one probe: a call that was forbidden does not wait for more", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(403)
      server.script.probe = ScriptedServer.refuse(410)
      const error = yield* failure(backend.use(echo))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.reason, "auth")
      assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
    })
  )

  it.effect("that calls raise while a death is being confirmed does not hurry the confirmation", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.unreachable("refused")
      server.script.probe = ScriptedServer.unreachable("refused")
      const calls = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }), () => Effect.exit(backend.use(echo)), { concurrency: "unbounded" })
      )
      yield* Stream.runHead(Stream.filter(backend.changes, ({ _tag }) => _tag === "Unhealthy"))
      assert.deepStrictEqual(untimed(yield* backend.state), {
        _tag: "Unhealthy",
        generation: 1,
        failures: 1,
        reason: "refused",
        held: false
      })
      server.script.call = () => ScriptedServer.answer
      server.script.probe = ScriptedServer.answer
      yield* TestClock.adjust("5 seconds")
      const exits = yield* Fiber.join(calls)
      assert.isTrue(exits.every(Exit.isSuccess))
      assert.strictEqual(server.executed.length, 20)
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
    })
  )
})

describe("code that a signal resumes", () => {
  it.effect("sees what its own commands did, before its next line", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      yield* backend.isolate
      assert.strictEqual((yield* backend.state)._tag, "Isolated")
      yield* backend.reset
      yield* backend.awaitConnected
      assert.strictEqual((yield* backend.reconnect)._tag, "Connected")
      assert.strictEqual(server.counts.attempts, 3)
    })
  )
})

describe("an attempt", () => {
  it.effect("fails at once when its session dies before callers get it", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({
        id: "scripted",
        connector: server.connector,
        setup: () =>
          Effect.andThen(
            Effect.sync(() => server.kill("process_exit")),
            Effect.never
          )
      })
      assert.deepStrictEqual(untimed(yield* backend.state), {
        _tag: "Disconnected",
        attempt: 1,
        reason: "process_exit"
      })
      assert.strictEqual(server.counts.open, 0)
    })
  )

  it.effect("that hangs is ended by connectTimeout, also as the trial of a half-open circuit", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.silence
      const backend = yield* make(server, {
        connectTimeout: "5 seconds",
        circuit: { failures: 1, openFor: "10 seconds" }
      })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "CircuitOpen", openings: 1, reason: "timeout" })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), {
        _tag: "Connecting",
        attempt: 2,
        trial: true,
        reason: "timeout"
      })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "CircuitOpen", openings: 2, reason: "timeout" })
    })
  )

  it.effect("whose setup fails is a failed attempt, and callers never get its session", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({
        id: "scripted",
        connector: server.connector,
        setup: () => Effect.die("no such log level")
      })
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Disconnected", attempt: 1, reason: "setup" })
      const call = yield* Effect.forkChild(failure(backend.use(echo)))
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.reason, "setup")
      assert.deepStrictEqual(server.executed, [])
    })
  )
})

describe("a jump of the clock", () => {
  /** The clock of the test, whose wall time can be set apart from its monotonic time. */
  const jumpy = TestClock.testClockWith((clock) => {
    let jumped = 0
    const jumping: Clock.Clock = {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + jumped,
      currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + jumped),
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(jumped) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + BigInt(jumped) * 1_000_000n),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    }
    return Effect.succeed({
      clock: jumping,
      adjust: clock.adjust,
      jump: (milliseconds: number) => {
        jumped += milliseconds
      }
    })
  })

  it.effect("as after the sleep of a laptop: a session is probed within 5 s, a backend that is down is tried", () =>
    Effect.flatMap(jumpy, ({ adjust, clock, jump }) =>
      Effect.gen(function* () {
        const well = ScriptedServer.make()
        const down = ScriptedServer.make()
        down.script.connect = ScriptedServer.unreachable()
        const backend = yield* make(well, { interval: "24 hours" })
        yield* make(down, { circuit: "none", backoff: { initial: "10 hours", cap: "10 hours" } })
        yield* backend.awaitConnected
        yield* adjust("1 minute")
        const counts = () => ({ probes: well.counts.probes, attempts: down.counts.attempts })
        const { attempts, probes } = counts()
        const once = { probes: probes + 1, attempts: attempts + 1 }
        jump(8 * 3_600_000)
        yield* adjust("5 seconds")
        assert.deepStrictEqual(counts(), once)
        yield* adjust("1 minute")
        assert.deepStrictEqual(counts(), once)
      }).pipe(
        Effect.provideService(Clock.Clock, clock),
        // no probe of the cadence is due in this minute
        Random.withSeed("laptop")
      )
    )
  )

  it.effect("while a circuit is open: it keeps its time, and the state says by the new clock when that ends", () =>
    Effect.flatMap(jumpy, ({ adjust, clock, jump }) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script.connect = ScriptedServer.unreachable()
        const backend = yield* make(server, { circuit: { failures: 1, openFor: "1 hour" } })
        yield* adjust("15 minutes")
        jump(8 * 3_600_000)
        yield* adjust("5 seconds")
        assert.strictEqual(server.counts.attempts, 1)
        const state = yield* backend.state
        assert(state._tag === "CircuitOpen")
        const left = 45 * 60_000 - 5000
        assert.strictEqual(state.nextAttemptAt, clock.currentTimeMillisUnsafe() + left)
        yield* adjust(left - 1)
        assert.strictEqual(server.counts.attempts, 1)
        yield* adjust(1)
        assert.strictEqual(server.counts.attempts, 2)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )

  it.effect("while a probe runs whose time is out before the clocks are compared: it is asked again, uncounted", () =>
    Effect.flatMap(jumpy, ({ adjust, clock, jump }) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const backend = yield* make(server, { interval: "1 hour", timeout: "1 second", failureThreshold: 1 })
        yield* backend.awaitConnected
        // the clocks are compared every 5 s from now
        yield* adjust("16 minutes")
        server.script.probe = ScriptedServer.silence
        yield* adjust(100)
        yield* Effect.forkChild(backend.probe)
        yield* adjust(500)
        jump(8 * 3_600_000)
        server.script.probe = ScriptedServer.answer
        yield* adjust(500)
        assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
        assert.strictEqual(server.counts.attempts, 1)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )

  it.effect("while an attempt runs: its failure proves nothing, and it is made again at once", () =>
    Effect.flatMap(jumpy, ({ adjust, clock, jump }) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script.connect = ScriptedServer.silence
        const backend = yield* make(server, { circuit: { failures: 1 } })
        yield* adjust("1 second")
        jump(8 * 3_600_000)
        yield* adjust("5 seconds")
        server.script.connect = ScriptedServer.answer
        yield* adjust("30 seconds")
        assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )
})
