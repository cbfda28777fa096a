/**
 * Reading the credentials of a session again: once at a time, however many of its calls were rejected.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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

/**
 * Whether they differ from those that were sent; false where they could not be read. Whoever is interrupted waits no longer;
 * the reading goes on for the others.
 */
export const make = ({ now, scope, seen, session, timeout }: Options): Effect.Effect<boolean> => {
  let reading: Fiber.Fiber<boolean> | undefined
  const read = Effect.timeoutOrElse(session.refresh, { duration: timeout, orElse: () => Effect.succeed(false) }).pipe(
    // code of the user's that throws must not end what waits for it
    Effect.catchCause(() => Effect.succeed(false)),
    Effect.tap((differ) =>
      Effect.sync(() => {
        if (differ) seen.credentials = now()
      })
    ),
    Effect.ensuring(
      Effect.sync(() => {
        reading = undefined
      })
    )
  )
  return Effect.gen(function* () {
    reading ??= yield* Effect.forkIn(read, scope)
    const exit = yield* Fiber.await(reading)
    return Exit.isSuccess(exit) && exit.value
  })
}
