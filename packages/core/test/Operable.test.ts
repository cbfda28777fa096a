/** A backend as an operator sees it. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend, BackendError, type ConnectionState, Operable } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const make = () =>
  Effect.map(
    Backend.make({ id: "github", connector: ScriptedServer.make().connector, policy: { connect: "lazy" } }),
    // what a page has: no calls, and no word of the client
    (backend): Operable.Operable => backend
  )

describe("an operable", () => {
  it.effect("is given each order by its name, and says which state follows", () =>
    Effect.gen(function* () {
      const operable = yield* make()
      const stateAfter = (command: Operable.Command) =>
        Effect.map(Operable.operate(operable, command), ({ _tag }) => _tag)

      assert.strictEqual(yield* stateAfter("reconnect"), "Connected")
      assert.strictEqual(yield* stateAfter("probe"), "Connected")
      assert.strictEqual(yield* stateAfter("isolate"), "Isolated")
      assert.strictEqual(yield* stateAfter("reset"), "Connected")
    })
  )

  it.effect("refuses an order that its state does not allow", () =>
    Effect.gen(function* () {
      const operable = yield* make()
      const unasked = yield* Effect.flip(Operable.operate(operable, "probe"))
      assert.instanceOf(unasked, BackendError.SessionUnavailable)
      yield* Operable.operate(operable, "isolate")
      const rejected = yield* Effect.flip(Operable.operate(operable, "reconnect"))
      assert.instanceOf(rejected, BackendError.CallRejected)
    })
  )

  it("says how asking one that is elsewhere fails, and that asking one of this process does not", () => {
    class Unreachable {
      readonly _tag = "Unreachable"
    }
    expectTypeOf<Backend.Backend<unknown>>().toExtend<Operable.Operable>()
    expectTypeOf<Operable.Operable>().toExtend<Operable.Operable<Unreachable>>()
    expectTypeOf<Operable.Operable<Unreachable>>().not.toExtend<Operable.Operable>()
    expectTypeOf(Operable.operate<Unreachable>).returns.toEqualTypeOf<
      Effect.Effect<
        ConnectionState.ConnectionState,
        BackendError.SessionUnavailable | BackendError.CallRejected | Unreachable
      >
    >()
  })
})
