/** How many backends a process has made. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as Backend from "../src/Backend.ts"
import * as ScriptedServer from "../src/testing/ScriptedServer.ts"

const make = (id: string) => Effect.scoped(Backend.make({ id, connector: ScriptedServer.make().connector }))

describe("the number of backends that were made", () => {
  it.effect("grows with each, keeps those that have closed, and leaves out those that could not be made", () =>
    Effect.gen(function* () {
      const before = Backend.made()
      yield* make("a")
      yield* make("a")
      yield* Effect.flip(make(""))
      assert.strictEqual(Backend.made() - before, 2)
    })
  )

  it.effect("is one for all copies of the package that a process has loaded", () =>
    Effect.gen(function* () {
      vi.resetModules()
      const copy = yield* Effect.promise(() => import("../src/Backend.ts"))
      assert.notStrictEqual(copy.made, Backend.made)
      yield* make("a")
      assert.strictEqual(copy.made(), Backend.made())
    })
  )
})
