/**
 * Ends of the engine's parts that could be waited for in vain.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

/** The same layer, whose end is waited for at most that long: it goes on then behind the ends of what it stands on. */
export const boundedEnd = <A, E, R>(layer: Layer.Layer<A, E, R>, within: Duration.Input): Layer.Layer<A, E, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const own = yield* Scope.make()
      yield* Effect.addFinalizer((exit) =>
        Effect.flatMap(Effect.forkDetach(Scope.close(own, exit), { startImmediately: true }), (closing) =>
          Effect.timeoutOption(Fiber.await(closing), within)
        )
      )
      return yield* Layer.buildWithScope(layer, own)
    })
  )
