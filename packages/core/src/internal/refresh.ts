/**
 * Reading the credentials of a session again: once at a time, however many of its calls were rejected.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Session } from "../Connector.ts"
import type { Seen } from "./sessionCell.ts"

export interface Options {
  readonly session: Pick<Session<unknown>, "refresh">
  /** how long it may take: whoever was rejected meanwhile waits for it */
  readonly timeout: Duration.Duration
  readonly scope: Scope.Scope
  readonly seen: Seen
  readonly now: () => number
}

/** Ends when they were read, or could not be. Whoever is interrupted waits no longer; the reading goes on for the others. */
export const make = ({ now, scope, seen, session, timeout }: Options): Effect.Effect<void> => {
  let reading: Fiber.Fiber<void> | undefined
  const read = Effect.timeoutOption(session.refresh, timeout).pipe(
    // code of the user's that throws must not end what waits for it
    Effect.ignoreCause,
    Effect.ensuring(
      Effect.sync(() => {
        seen.credentials = now()
        reading = undefined
      })
    )
  )
  return Effect.gen(function* () {
    reading ??= yield* Effect.forkIn(read, scope)
    yield* Fiber.await(reading)
  })
}
