/** Observers stand beside each other, however their layers are put together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Backend, KeepaliveEvent } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const seen: Array<string> = []
const named = (name: string) =>
  KeepaliveEvent.layerObserver((event) => {
    if (event._tag === "Started") seen.push(`${name}: ${event.backend}`)
  })
const a = named("a")
const b = named("b")

/** Who was told of a backend that was made with the layer. */
const told = (layer: Layer.Layer<never>) =>
  Effect.gen(function* () {
    seen.length = 0
    yield* Backend.make({ id: "x", connector: ScriptedServer.make().connector }).pipe(Effect.provide(layer))
    return [...seen]
  })

describe("every observer is told", () => {
  for (const [how, layer] of [
    ["side by side", Layer.mergeAll(a, b)],
    ["over each other", a.pipe(Layer.provideMerge(b))],
    ["over each other and side by side at once", Layer.mergeAll(a.pipe(Layer.provideMerge(b)), b, a)]
  ] as const) {
    it.effect(`once, where layers are put ${how}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* told(layer)).toSorted(), ["a: x", "b: x"])
      })
    )
  }

  it.effect("where an inner layer adds to an outer one, of the backends made within", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      seen.length = 0
      yield* Effect.gen(function* () {
        yield* Backend.make({ id: "outer", connector: server.connector })
        yield* Backend.make({ id: "inner", connector: server.connector }).pipe(Effect.provide([b, a]))
      }).pipe(Effect.provide(a))
      assert.deepStrictEqual(seen.toSorted(), ["a: inner", "a: outer", "b: inner"])
    })
  )

  it.effect("until its layer is closed, where an Effect made it", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const layer = KeepaliveEvent.layerObserver(
        Effect.acquireRelease(
          Effect.sync(() => (event: KeepaliveEvent.KeepaliveEvent) => void log.push(event._tag)),
          () => Effect.sync(() => log.push("closed"))
        )
      )
      yield* Effect.scoped(
        Backend.make({ id: "x", connector: ScriptedServer.make().connector, policy: { connect: "lazy" } })
      ).pipe(Effect.provide(layer))
      assert.deepStrictEqual(log, ["Started", "StateChanged", "closed"])
    })
  )
})
