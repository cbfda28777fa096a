/** What a backend does, one effect after the other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Closings } from "../src/internal/closings.ts"
import { Task } from "../src/internal/task.ts"

const made = Effect.map(Effect.context<never>(), (context) => {
  const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> => {
    const fiber = Effect.runForkWith(context)(effect)
    fibers.push(fiber)
    return fiber
  }
  const closings = new Closings(Effect.runForkWith(context))
  return { task: new Task<never>({ fork, closings }), closings, fibers }
})

describe("a task", () => {
  it.effect("runs an effect that the end of another begins, and one fiber for each", () =>
    Effect.gen(function* () {
      const { fibers, task } = yield* made
      const ended: Array<string> = []
      task.run(Effect.as(Effect.sleep(10), "first"), (first) => {
        if (Exit.isSuccess(first)) ended.push(first.value)
        assert.isFalse(task.isRunning)
        task.run(Effect.succeed("second"), (second) => {
          if (Exit.isSuccess(second)) ended.push(second.value)
        })
      })
      assert.isTrue(task.isRunning)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(ended, ["first", "second"])
      assert.strictEqual(fibers.length, 2)
      assert.isFalse(task.isRunning)
    })
  )

  it.effect("can go on after what was interrupted", () =>
    Effect.gen(function* () {
      const { task } = yield* made
      const ended: Array<boolean> = []
      task.run(Effect.never, (exit) => {
        ended.push(Exit.hasInterrupts(exit))
        task.run(Effect.sleep(10), (next) => ended.push(Exit.hasInterrupts(next)))
      })
      task.interrupt()
      assert.isFalse(task.isStopped)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(ended, [true, false])
    })
  )

  for (const as of ["stop", "interrupt"] as const) {
    it.effect(`is interrupted by what an effect of it does as it begins (${as})`, () =>
      Effect.gen(function* () {
        const { task } = yield* made
        let ended = 0
        task.run(
          Effect.andThen(
            Effect.sync(() => task[as]()),
            Effect.never
          ),
          (exit) => {
            assert.isTrue(Exit.hasInterrupts(exit))
            ended++
          }
        )
        assert.strictEqual(ended, 1)
        assert.strictEqual(task.isStopped, as === "stop")
      })
    )
  }

  it.effect("that was stopped is awaited until what runs has ended", () =>
    Effect.gen(function* () {
      const { closings, task } = yield* made
      let end = () => {}
      const slow = Effect.callback<void>((resume) => {
        end = () => resume(Effect.void)
      })
      let ended = 0
      task.run(Effect.uninterruptible(slow), () => ended++)
      task.stop()
      assert.deepStrictEqual([ended, task.isRunning, closings.areOver], [0, true, false])
      end()
      yield* closings.ended()
      assert.deepStrictEqual([ended, task.isRunning, closings.areOver], [1, false, true])
    })
  )
})
