/**
 * Observers that are found in the context: each layer adds its own, beside all others.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

export interface Observers<Observer> {
  /** Adds one; an Effect may make it, in the layer's scope. */
  readonly layer: <E, R>(
    observer: Observer | Effect.Effect<Observer, E, R>
  ) => Layer.Layer<never, E, Exclude<R, Scope.Scope>>
  /** those of the context, each once */
  readonly all: Effect.Effect<ReadonlyArray<Observer>>
  /** a context in which that one is in the place of all of them */
  readonly only: (observer: Observer) => <R>(context: Context.Context<R>) => Context.Context<R>
}

/** All of one kind: `prefix` is what their keys begin with. */
export const make = <Observer>(prefix: string): Observers<Observer> => {
  // one count for all copies of this package that a process may have loaded
  const count = Symbol.for(prefix)
  const keys: { next: number } = Reflect.get(globalThis, count) ?? { next: 0 }
  Reflect.set(globalThis, count, keys)
  return {
    layer: (observer) =>
      Layer.effect(
        // One key for all would leave the last of two layers that are built side by side, and the others without a word.
        Context.Service<never, Observer>(`${prefix}${keys.next++}`),
        Effect.isEffect(observer) ? observer : Effect.succeed(observer)
      ),
    all: Effect.map(Effect.context<never>(), (context) => {
      const found = new Set<Observer>()
      for (const [key, value] of context.mapUnsafe) if (key.startsWith(prefix)) found.add(value)
      return [...found]
    }),
    only:
      (observer) =>
      <R>(context: Context.Context<R>) => {
        const others = [...context.mapUnsafe].filter(([key]) => !key.startsWith(prefix))
        return Context.makeUnsafe<R>(new Map([...others, [`${prefix}only`, observer]]))
      }
  }
}
