/** Calls of other processes under way for a backend: how many there may be, and that they end before it does. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Calls } from "../src/internal/owner/calls.ts"

const drain = Duration.seconds(5)

describe("calls under way", () => {
  it.effect("are no more than may be, also where some are broken off", () =>
    Effect.gen(function* () {
      const calls = new Calls(2)
      const [first] = yield* Effect.all(
        [0, 1].map(() => Effect.forkChild(calls.run(Effect.never), { startImmediately: true }))
      )
      assert.strictEqual(calls.refused, "full")
      assert(first !== undefined)
      yield* Fiber.interrupt(first)
      assert.isUndefined(calls.refused)
    })
  )

  it.effect("are waited for when the backend is handed over, and none begins", () =>
    Effect.gen(function* () {
      const calls = new Calls(2)
      const answer = yield* Deferred.make<void>()
      yield* Effect.forkChild(calls.run(Deferred.await(answer)), { startImmediately: true })
      const ending = yield* Effect.forkChild(calls.end(drain), { startImmediately: true })
      assert.strictEqual(calls.refused, "over")
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(ending.pollUnsafe())
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(ending)
    })
  )

  it.effect("are waited for no longer than that, and not at all where there is none", () =>
    Effect.gen(function* () {
      yield* new Calls(2).end(drain)
      const calls = new Calls(2)
      yield* Effect.forkChild(calls.run(Effect.never), { startImmediately: true })
      const ending = yield* Effect.forkChild(calls.end(drain), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(ending)
    })
  )
})
