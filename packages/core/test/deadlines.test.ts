/** The queue in which everything is due that shares a clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as fc from "fast-check"
import { TestClock } from "effect/testing"
import * as Deadlines from "../src/internal/deadlines.ts"

const current = Effect.contextWith((context: Parameters<typeof Deadlines.of>[0]) =>
  Effect.succeed(Deadlines.of(context))
)

/** Takes the place of the clock of the context, and counts who sleeps on it. */
const counted = TestClock.testClockWith((clock) => {
  const counts = { asleep: 0, begun: 0 }
  const counting: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          counts.asleep++
          counts.begun++
        }),
        () => clock.sleep(duration),
        () => Effect.sync(() => counts.asleep--)
      )
  }
  return Effect.succeed({ counts, clock: counting, adjust: clock.adjust })
})

describe("deadlines", () => {
  it("are due in the order of their times, each once, whatever is set and cancelled meanwhile", () => {
    const anyMoves = fc.array(
      fc.oneof(
        fc.record({ set: fc.integer({ min: 1, max: 40 }), again: fc.integer({ min: 0, max: 9 }) }),
        fc.record({ cancel: fc.nat({ max: 60 }) }),
        fc.record({ pass: fc.integer({ min: 0, max: 7 }) })
      ),
      { maxLength: 80, size: "max" }
    )
    return fc.assert(
      fc.asyncProperty(anyMoves, (moves) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const deadlines = yield* current
            const began = deadlines.now()
            /** what is to come, as it was asked for */
            const expected = new Map<number, number>()
            const set: Array<Deadlines.Deadline> = []
            let last = 0
            const arm = (after: number, again: number) => {
              const at = deadlines.now() + after
              const nth = set.length
              expected.set(nth, at)
              set.push(
                deadlines.set(at, () => {
                  assert.strictEqual(expected.get(nth), at, "it was due before, or was cancelled")
                  expected.delete(nth)
                  assert.isAtLeast(at, last, "the order of the times")
                  last = at
                  assert.isAtLeast(deadlines.now() + 0.001, at, "not before its time")
                  // a deadline is mostly set as another one is due
                  if (again > 0) arm(again, 0)
                })
              )
            }
            for (const move of moves) {
              if ("set" in move) arm(move.set, move.again)
              else if ("cancel" in move) {
                deadlines.cancel(set[move.cancel])
                expected.delete(move.cancel)
              } else {
                yield* TestClock.adjust(move.pass)
                for (const at of expected.values()) assert.isAbove(at, deadlines.now(), "what was due has come")
              }
            }
            yield* TestClock.adjust("1 minute")
            assert.strictEqual(expected.size, 0)
            assert.strictEqual(deadlines.now() - began >= 60_000, true)
          }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
        )
      ),
      { numRuns: 300 }
    )
  })

  it.effect("that are due at the same time come in the order in which they were set", () =>
    Effect.gen(function* () {
      const deadlines = yield* current
      const came: Array<number> = []
      for (let nth = 0; nth < 100; nth++) deadlines.set(deadlines.now() + 1000, () => came.push(nth))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(came, [...Array(100).keys()])
    })
  )

  it.effect("share one fiber that sleeps, and none sleeps when none is left", () =>
    Effect.flatMap(counted, ({ adjust, clock, counts }) =>
      Effect.gen(function* () {
        const deadlines = yield* current
        let due = 0
        const set = Array.from({ length: 1000 }, (_, nth) => deadlines.set(deadlines.now() + 1000 + nth, () => due++))
        assert.deepStrictEqual(counts, { asleep: 1, begun: 1 })
        yield* adjust("1500 millis")
        assert.strictEqual(due, 501)
        assert.strictEqual(counts.asleep, 1)
        for (const deadline of set) deadlines.cancel(deadline)
        assert.strictEqual(counts.asleep, 0)
        yield* adjust("1 hour")
        assert.strictEqual(due, 501)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )

  it.effect("wake the fiber earlier for one that is due before the others", () =>
    Effect.gen(function* () {
      const deadlines = yield* current
      const came: Array<string> = []
      deadlines.set(deadlines.now() + 60_000, () => came.push("late"))
      deadlines.set(deadlines.now() + 1000, () => came.push("early"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(came, ["early"])
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(came, ["early", "late"])
    })
  )

  it.effect("are never due where their time is infinite, and never within the call that sets them", () =>
    Effect.flatMap(counted, ({ adjust, clock, counts }) =>
      Effect.gen(function* () {
        const deadlines = yield* current
        let due = 0
        deadlines.cancel(deadlines.set(Number.POSITIVE_INFINITY, () => due++))
        assert.strictEqual(counts.begun, 0)
        deadlines.set(deadlines.now() - 1, () => due++)
        assert.strictEqual(due, 0)
        yield* adjust(1)
        assert.strictEqual(due, 1)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    )
  )
})
