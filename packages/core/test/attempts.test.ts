/** Attempts that end late, and attempts that are ended. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

type Client = ScriptedServer.ScriptedClient

const echo = (client: Client, signal: AbortSignal) => client.callTool("echo", { signal })

// ------------------------------------------------------------------------------------------------------------- late

/** The clock of the test, for a process that can be stopped: time passes meanwhile, and no timer fires. */
const stoppable = TestClock.testClockWith((clock) => {
  let stopped = 0
  const nanos = () => BigInt(stopped) * 1_000_000n
  const late: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + stopped,
    currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + stopped),
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + nanos(),
    currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + nanos()),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + nanos(),
    monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe() + nanos()),
    sleep: (duration) => clock.sleep(duration)
  }
  return Effect.succeed({
    clock: late,
    adjust: clock.adjust,
    stop: (duration: Duration.Input) => {
      stopped += Duration.toMillis(Duration.fromInputUnsafe(duration))
    }
  })
})

describe("an attempt whose time ran out", () => {
  /** Where the backend is after its first attempt ran into a timeout, in a process that was stopped meanwhile. */
  const after = (
    given: { readonly hangs: "connect" | "probe"; readonly stoppedFor: Duration.Input; readonly time: Duration.Input },
    policy: KeepalivePolicy.Options = {}
  ) =>
    Effect.flatMap(stoppable, ({ adjust, clock, stop }) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script[given.hangs] = ScriptedServer.silence
        const events: Array<string> = []
        const backend = yield* Backend.make({
          id: "scripted",
          connector: server.connector,
          policy: { circuit: { failures: 1, openFor: "30 minutes" }, ...policy }
        }).pipe(Effect.provide(KeepaliveEvent.layerObserver(({ _tag }) => events.push(_tag))))
        yield* adjust("1 second")
        stop(given.stoppedFor)
        server.script[given.hangs] = ScriptedServer.answer
        yield* adjust(given.time)
        return { state: yield* backend.state, events, attempts: server.counts.attempts }
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )

  it.effect("while this process was stopped for longer than that proves nothing: it is made again, uncounted", () =>
    Effect.gen(function* () {
      const { attempts, events, state } = yield* after({
        hangs: "connect",
        stoppedFor: "31 seconds",
        time: "29 seconds"
      })
      assert.deepStrictEqual(untimed(state), { _tag: "Connected", generation: 1 })
      assert.strictEqual(attempts, 2)
      assert.notInclude(events, "AttemptFailed")
      assert.notInclude(events, "CircuitOpened")
    })
  )

  it.effect("in its acceptance probe, while this process was stopped for longer than that, proves nothing either", () =>
    Effect.gen(function* () {
      const { events, state } = yield* after({ hangs: "probe", stoppedFor: "11 seconds", time: "9 seconds" })
      assert.deepStrictEqual(untimed(state), { _tag: "Connected", generation: 1 })
      assert.notInclude(events, "AttemptFailed")
    })
  )

  for (const [hangs, stoppedFor, time] of [
    ["connect", "29 seconds", "29 seconds"],
    ["probe", "9 seconds", "9 seconds"]
  ] as const) {
    it.effect(`in ${hangs} is a failure where this process was stopped for less`, () =>
      Effect.gen(function* () {
        const { state } = yield* after({ hangs, stoppedFor, time })
        assert.deepStrictEqual(untimed(state), { _tag: "CircuitOpen", openings: 1, reason: "timeout" })
      })
    )
  }
})

// ------------------------------------------------------------------------------------------------------------ ended

describe("an attempt that is ended while it opens a session", () => {
  /** Opening takes an hour, unless told otherwise, and when it is interrupted, ending what was begun takes 50 ms. */
  const slow = (server: ScriptedServer.ScriptedServer) => {
    const told = { opening: 0, ended: 0, hangs: true }
    const connector: Connector.Connector<Client> = {
      ...server.connector,
      open: (host) =>
        told.hangs
          ? Effect.acquireUseRelease(
              Effect.sync(() => told.opening++),
              () => Effect.andThen(Effect.sleep("1 hour"), server.connector.open(host)),
              () =>
                Effect.andThen(
                  Effect.sleep("50 millis"),
                  Effect.sync(() => told.ended++)
                )
            )
          : server.connector.open(host)
    }
    return { connector, told }
  }

  for (const when of ["the first", "a replacement"] as const) {
    it.effect(`${when}: the closing of the scope waits until what it has begun has ended`, () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const { connector, told } = slow(server)
        told.hangs = when === "the first"
        const scope = yield* Scope.make()
        const backend = yield* Scope.provide(Backend.make({ id: "scripted", connector }), scope)
        if (when === "a replacement") {
          yield* backend.awaitConnected
          told.hangs = true
          yield* Effect.forkChild(Effect.exit(backend.reconnect), { startImmediately: true })
        }
        yield* TestClock.adjust("1 second")
        assert.strictEqual(told.opening, 1)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("49 millis")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(closing)
        assert.strictEqual(told.ended, 1)
        assert.strictEqual(server.counts.open, 0)
      })
    )
  }

  it.effect("its time over: the closing of the scope waits for its end too", () =>
    Effect.gen(function* () {
      const { connector, told } = slow(ScriptedServer.make())
      const scope = yield* Scope.make()
      yield* Scope.provide(Backend.make({ id: "scripted", connector, policy: { connectTimeout: "1 second" } }), scope)
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("49 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(told.ended, 1)
    })
  )

  it.effect("by an operator: the next one begins when what it has begun has ended", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { connector, told } = slow(server)
      const backend = yield* Backend.make({ id: "scripted", connector })
      yield* TestClock.adjust("1 second")
      yield* backend.isolate
      told.hangs = false
      yield* backend.reset
      yield* TestClock.adjust("49 millis")
      assert.strictEqual(server.counts.attempts, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(told.ended, 1)
      assert.strictEqual(yield* backend.use(echo), "echo")
    })
  )
})
