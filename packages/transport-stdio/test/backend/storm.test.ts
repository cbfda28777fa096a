/** A server that exits as soon as it is started is not started in a storm. */
import { assert, describe } from "@effect/vitest"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Clock, Duration, Effect, FileSystem, Stream } from "effect"
import { fast } from "./clock.ts"
import { eventually, is, keep, type Kept, only, promise, together } from "./support.ts"

/** A command that writes a line and exits, and how often it did. */
const exiting = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const log = `${yield* fs.makeTempDirectoryScoped()}/starts`
  yield* fs.writeFileString(log, "")
  const starts = Effect.map(fs.readFileString(log), (text) => text.split("\n").length - 1)
  return { name: "exiting", command: "sh", args: ["-c", 'echo start >> "$0"; exit 1', log], starts }
})

const call = { name: "echo", arguments: { message: "to nobody" } }

promise("ten exits at once open a circuit of ten failures: no further start, and calls are rejected at once", () =>
  Effect.gen(function* () {
    const server = yield* exiting
    const policy = {
      backoff: { initial: "10 millis", factor: 1, cap: "10 millis" },
      circuit: { failures: 10, openFor: "1 hour" }
    } as const
    const kept = yield* keep(server, { await: false, policy })
    const opened = yield* kept.event("CircuitOpened")
    assert.deepStrictEqual([opened.openings, opened.reason], [1, "process_exit"])
    assert.strictEqual(yield* server.starts, 10)
    assert.strictEqual(only(kept.events, "AttemptFailed").length, 10)
    const begun = performance.now()
    for (let index = 0; index < 100; index++) {
      const error = yield* Effect.flip(kept.call(call))
      assert(error._tag === "CallRejected")
      assert.deepStrictEqual([error.state, error.reason], ["CircuitOpen", "process_exit"])
      assert.strictEqual(error.detail?.summary, "exit code 1 during the handshake")
      const retryAfter = Duration.toMinutes(error.retryAfter ?? 0)
      assert.isTrue(retryAfter > 59 && retryAfter <= 60)
    }
    assert.isBelow(performance.now() - begun, 1000)
    assert.strictEqual(yield* server.starts, 10)
    assert.strictEqual(kept.spawns.length, 10)
  })
)

const asItComes = { await: false, policy: "default" } as const

/** Six starts in the first minute, as the delays of the policy say, and none before its time. */
const isPaced = (kept: Kept, factor: number) => {
  const scheduled = only(kept.events, "AttemptScheduled")
  const delays = scheduled.map(({ delay }) => Duration.toSeconds(delay))
  for (const [index, backoff] of [1, 2, 4, 8].entries()) {
    assert.isAtLeast(delays[index] ?? 0, backoff * 0.8)
    assert.isAtMost(delays[index] ?? 0, backoff * 1.2)
  }
  // the fifth failure opens the circuit; the trial fails, and the circuit opens for twice as long
  assert.deepStrictEqual(delays.slice(4), [30, 60])
  const due = delays.map((_, index) => delays.slice(0, index + 1).reduce((sum, delay) => sum + delay, 0))
  assert.strictEqual(1 + due.filter((seconds) => seconds < 60).length, 6)
  assert.strictEqual(kept.spawns.length, 6)
  for (const [index, { at }] of kept.spawns.slice(1).entries()) {
    const waited = ((at - (scheduled[index]?.seenAt ?? Number.NaN)) * factor) / 1000
    // timers fire up to a millisecond early
    assert.isAtLeast(waited, (delays[index] ?? 0) - factor / 1000)
  }
  assert.deepStrictEqual(
    only(kept.events, "CircuitOpened").map(({ openings, reason }) => [openings, reason]),
    [
      [1, "process_exit"],
      [2, "process_exit"]
    ]
  )
}

/** A minute of the backend's clock, or as much longer as a busy machine takes for what happens in it. */
const aMinute = (kept: Kept, clock: Clock.Clock) =>
  Effect.andThen(
    clock.sleep(Duration.minutes(1)),
    eventually(
      Effect.sync(() => only(kept.events, "CircuitOpened").length),
      (opened) => opened >= 2
    )
  )

describe("with the default policy a server is started six times in the first minute", () => {
  const promise = together()

  promise("when it exits at once", () =>
    Effect.gen(function* () {
      const server = yield* exiting
      const clock = yield* fast(30)
      const kept = yield* Effect.provideService(keep(server, asItComes), Clock.Clock, clock)
      yield* aMinute(kept, clock)
      isPaced(kept, 30)
      assert.strictEqual(yield* server.starts, 6)
    })
  )

  promise("when it connects and is killed before it is stable", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const clock = yield* fast(20)
      const kept = yield* Effect.provideService(keep(server, asItComes), Clock.Clock, clock)
      yield* kept.backend.changes.pipe(
        Stream.filter(is("Connected")),
        Stream.runForEach(() => Effect.sync(() => kept.signal("SIGKILL"))),
        Effect.forkChild
      )
      yield* aMinute(kept, clock)
      isPaced(kept, 20)
      assert.strictEqual(yield* server.starts, 6)
      assert.strictEqual(only(kept.events, "AttemptSucceeded").length, 6)
    })
  )
})
