/** Ends that could be waited for in vain. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { boundedEnd } from "../../src/internal/engine/ending.ts"

class Part extends Context.Service<Part, string>()("Part") {}

/** Of a part that ends with `ended`, and what it stands on. */
const built = (ended: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const order: Array<string> = []
    const ends = (what: string, effect: Effect.Effect<void>) =>
      Effect.addFinalizer(() =>
        Effect.andThen(
          effect,
          Effect.sync(() => order.push(what))
        )
      )
    const part = Layer.effect(Part, Effect.as(ends("part", ended), "part"))
    const base = Layer.effectDiscard(ends("base", Effect.void))
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.provideMerge(boundedEnd(part, "1 second"), base), scope)
    assert.strictEqual(Context.get(context, Part), "part")
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    return { order, closing }
  })

describe("a part of the engine", () => {
  it.effect("ends before what it stands on", () =>
    Effect.gen(function* () {
      const { closing, order } = yield* built(Effect.sleep("900 millis"))
      yield* TestClock.adjust("900 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(order, ["part", "base"])
    })
  )

  it.effect("is waited for no longer than that, also where nothing interrupts it, and ends behind", () =>
    Effect.gen(function* () {
      const goes = yield* Deferred.make<void>()
      const { closing, order } = yield* built(Effect.uninterruptible(Deferred.await(goes)))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(order, ["base"])
      yield* Deferred.succeed(goes, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(order, ["base", "part"])
    })
  )
})
