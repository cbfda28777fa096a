/**
 * Reading the credentials of a session again: once at a time, however many of its calls were rejected.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { timeoutOrElse } from "./ending.ts"
import type { OpenSession } from "./sessionCell.ts"

/**
 * Whether they differ from those that were sent; false where they could not be read within the time. Whoever is interrupted waits
 * no longer; the reading goes on for the others.
 */
export const differs = (
  open: OpenSession<unknown>,
  now: () => number,
  timeout: Duration.Duration
): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    open.reading ??= yield* Effect.forkIn(read(open, now, timeout), open.scope)
    const exit = yield* Fiber.await(open.reading)
    return Exit.isSuccess(exit) && exit.value
  })

const read = (open: OpenSession<unknown>, now: () => number, timeout: Duration.Duration) =>
  timeoutOrElse(open.session.refresh, timeout, Effect.succeed(false)).pipe(
    // code of the user's that throws must not end what waits for it
    Effect.catchCause(() => Effect.succeed(false)),
    Effect.tap((differ) =>
      Effect.sync(() => {
        if (differ) open.seen.credentials = now()
      })
    ),
    Effect.ensuring(
      Effect.sync(() => {
        open.reading = undefined
      })
    )
  )
