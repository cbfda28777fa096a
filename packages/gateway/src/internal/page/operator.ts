/**
 * What an operator orders.
 */
import { type ConnectionState, Operable } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isCarriedOut } from "../orders.ts"

/** What became of an order: `rejected` where the state of the backend does not allow it, `unheard` where it reached nobody who could carry it out. */
export type Ordered = "done" | "rejected" | "unheard" | "unknown"

/** Carries out a command on a backend. It does not wait for what follows. */
export type Operate = (id: string, command: Operable.Command) => Effect.Effect<Ordered>

/** An operator who waits longer for an answer than this sees the outcome on the page. */
const patience = "5 seconds"

/** What orders are given to: some of a fleet, or of what knows of backends elsewhere. */
interface Members {
  readonly get: (id: string) => Effect.Effect<Option.Option<Operable.Operable<unknown>>>
}

/** Orders given to the members of a fleet. */
export const ofFleet =
  (fleet: Members): Operate =>
  (id, command) =>
    Effect.flatMap(
      fleet.get(id),
      Option.match({
        onNone: () => Effect.succeed<Ordered>("unknown"),
        onSome: (backend) => ordered(command, Effect.asSome(Operable.operate(backend, command)))
      })
    )

/** What becomes of an order that is given this way, and finds nobody to take it where it succeeds with nothing. */
export const ordered = <E>(
  command: Operable.Command,
  order: Effect.Effect<Option.Option<ConnectionState.ConnectionState>, E>
): Effect.Effect<Ordered> =>
  Effect.match(Effect.timeoutOption(order, patience), {
    onFailure: (): Ordered => "rejected",
    onSuccess: Option.match({
      // an attempt goes on; what takes no time has reached nobody
      onNone: (): Ordered => (command === "isolate" || command === "reset" ? "unheard" : "done"),
      onSome: Option.match({
        onNone: (): Ordered => "unknown",
        onSome: (state): Ordered => (isCarriedOut(command, state) ? "done" : "unheard")
      })
    })
  })
