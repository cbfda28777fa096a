import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { Backend } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

/** A clock that counts who sleeps on it. */
const counting = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  let sleeping = 0
  const counted: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => sleeping++),
        () => clock.sleep(duration),
        () => Effect.sync(() => sleeping--)
      )
  }
  return { clock: counted, sleeping: () => sleeping }
})

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

describe("after the scope of 50 backends", () => {
  it.live("no timer, session or fiber is left, whatever state they were in, and callers have their answers", () =>
    Effect.flatMap(counting, ({ clock, sleeping }) =>
      Effect.gen(function* () {
        const before = timers()
        const servers = Array.from({ length: 50 }, () => ScriptedServer.make())
        const calls: Array<Fiber.Fiber<unknown, unknown>> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            for (const [index, server] of servers.entries()) {
              if (index % 5 === 1) server.script.connect = ScriptedServer.unreachable()
              if (index % 5 === 2) server.script.connect = ScriptedServer.silence
              const backend = yield* Backend.make({
                id: `${index}`,
                connector: server.connector,
                policy: { circuit: { failures: 1 + (index % 2) }, idleAfter: "1 minute" }
              })
              if (index % 5 === 3) server.script.probe = ScriptedServer.silence
              if (index % 5 === 3) yield* Effect.forkScoped(Effect.exit(backend.probe))
              if (index % 5 === 4) server.script.call = () => ScriptedServer.silence
              calls.push(yield* Effect.forkDetach(backend.use((client) => client.callTool("echo"))))
            }
            yield* Effect.sleep("20 millis")
            // the deadlines of all of them are slept for by one fiber, and the check sees it
            assert.isAtLeast(sleeping(), 1)
          })
        )
        const settled = yield* Effect.forEach(calls, (call) => Effect.timeout(Fiber.await(call), "1 second"))
        assert.strictEqual(settled.length, 50)
        assert.strictEqual(sleeping(), 0)
        assert.strictEqual(
          servers.reduce((sum, { counts }) => sum + counts.open, 0),
          0
        )
        // the runner has timers of its own for moments: one of ours would stay
        const began = performance.now()
        while (timers() > before && performance.now() - began < 2000) yield* Effect.yieldNow
        assert.isAtMost(timers(), before)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )

  it.live("nothing sleeps for a probe that was under way on an open session", () =>
    Effect.flatMap(counting, ({ clock, sleeping }) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const backend = yield* Backend.make({ id: "scripted", connector: server.connector })
            yield* backend.awaitConnected
            server.script.probe = ScriptedServer.silence
            yield* Effect.forkScoped(Effect.exit(backend.probe), { startImmediately: true })
            assert.isAtLeast(server.counts.probes, 2)
          })
        )
        assert.strictEqual(sleeping(), 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )
})
