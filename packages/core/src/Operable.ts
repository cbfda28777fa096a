/**
 * What an operator sees of a backend and can order of it: for pages, command lines and other views that make no calls, and need
 * not be in the process that keeps the backend.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { CallRejected, SessionUnavailable } from "./BackendError.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import type { KeepaliveEvent } from "./KeepaliveEvent.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * A backend without its calls. `E` is how else everything that is asked of it can fail: never where it is kept by this process, as a
 * `Backend` is; that its keeper cannot be reached, where another one keeps it.
 *
 * @since 0.1.0
 */
export interface Operable<out E = never> {
  readonly id: string
  readonly state: Effect.Effect<ConnectionState, E>
  /** The current state first, then every change, to the end of the backend's scope. */
  readonly changes: Stream.Stream<ConnectionState, E>
  /**
   * What happens from now on, to the end of the backend's scope. A reader that falls behind by more than 4096 events loses
   * the oldest of them.
   */
  readonly events: Stream.Stream<KeepaliveEvent, E>
  /** Probes now, or joins the probe that is running, and returns the state that follows. Without a session it fails. */
  readonly probe: Effect.Effect<ConnectionState, SessionUnavailable | E>
  /**
   * Replaces the session: the new one first, while the old one drains, where the transport and the server can. Without
   * a session it attempts now, in an open circuit as the trial. Returns the state that follows; an isolated backend
   * rejects it.
   */
  readonly reconnect: Effect.Effect<ConnectionState, CallRejected | E>
  /** Closes the backend until `reset`: calls in flight end as `OutcomeUnknown`, further ones are rejected. */
  readonly isolate: Effect.Effect<void, E>
  /** Forgets failures, opens the backend again if it was isolated, and attempts or probes now. */
  readonly reset: Effect.Effect<void, E>
}

/**
 * What can be ordered, by its name.
 *
 * @since 0.1.0
 */
export type Command = typeof Command.Type
/** @since 0.1.0 */
export const Command = Schema.Literals(["probe", "reconnect", "isolate", "reset"])

// --------------------------------------------------------------------------------------------------------- combinators

/**
 * Gives an order by its name, and returns the state that follows: for orders that come as data.
 *
 * @since 0.1.0
 */
export const operate = <E>(
  operable: Operable<E>,
  command: Command
): Effect.Effect<ConnectionState, SessionUnavailable | CallRejected | E> => {
  switch (command) {
    case "probe":
    case "reconnect":
      return operable[command]
    case "isolate":
    case "reset":
      return Effect.andThen(operable[command], operable.state)
  }
}
