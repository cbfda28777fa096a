/**
 * Session termination: `DELETE`, so that the server frees what it keeps (MCP 2025-11-25, transports, session management, 5).
 *
 * What ended the session may swallow its `DELETE` as well. A server that allows one session only would then refuse every other
 * one for ever, so the next session that is opened begins with what nobody has taken.
 */
import type { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as StatusOnly from "./statusOnly.ts"
import type { SessionIdentity, Wire } from "./wire.ts"

/** How long telling the server that a session ends may take. */
const bound = "1 second"

/** How long the response to a handshake is waited for that nobody needs any more: it has the id of what is to be ended. */
const handshakeBound = "1 second"

/** How long a session that is opened waits for the termination of others: a round trip, and not for a server that hangs. */
const patience = "250 millis"

/** How many sessions are remembered whose termination nobody has taken: those that end half open could be any number. */
const remembered = 8

/** The sessions of one server that are to be terminated. */
export class SessionTermination {
  readonly #untaken = new Set<SessionIdentity>()

  /** Terminates this session, if it has begun; also one that may have begun, for as long as its handshake is bounded. */
  terminate(wire: Wire): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { undecided } = wire
      const decided =
        undecided === undefined
          ? Effect.void
          : Effect.timeoutOption(
              Effect.promise(() => undecided),
              handshakeBound
            )
      return Effect.andThen(
        decided,
        Effect.suspend(() => {
          const { identity } = wire
          if (identity.sessionId === undefined) return Effect.void
          return Effect.map(terminate(wire, identity), (isTaken) => {
            if (!isTaken) this.#remember(identity)
          })
        })
      )
    })
  }

  /**
   * Terminates again what nobody has taken, over a session that is being opened, before it is. A server that has accepted
   * another session does not need to hear it once more.
   */
  terminateBefore<E>(wire: Wire, opening: Effect.Effect<void, E>): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const due = [...this.#untaken]
      if (due.length === 0) return opening
      const again = Effect.forEach(
        due,
        (identity) => Effect.map(terminate(wire, identity), (isTaken) => isTaken && this.#untaken.delete(identity)),
        { concurrency: "unbounded", discard: true }
      )
      const heard = Effect.callback<void>((resume) =>
        wire.fork(
          Effect.ensuring(
            again,
            Effect.sync(() => resume(Effect.void))
          )
        )
      )
      return heard.pipe(
        Effect.timeoutOption(patience),
        Effect.andThen(opening),
        Effect.tap(() => Effect.sync(() => due.forEach((identity) => this.#untaken.delete(identity))))
      )
    })
  }

  #remember(identity: SessionIdentity): void {
    this.#untaken.add(identity)
    const oldest = this.#untaken.size > remembered ? this.#untaken.values().next().value : undefined
    if (oldest !== undefined) this.#untaken.delete(oldest)
  }
}

/** Says it once; true when the server has taken it. */
const terminate = (wire: Wire, identity: SessionIdentity): Effect.Effect<boolean> =>
  Effect.map(
    Effect.timeoutOption(StatusOnly.send(wire, "DELETE", identity), bound),
    Option.match({ onNone: () => false, onSome: isTaken })
  )

/**
 * Whether the server itself has heard it. Also 405: it never lets a client end a session. A 404 may be the server's, which
 * does not know the session, or that of a proxy, behind which the session lives on.
 */
const isTaken = (answer: Evidence.Evidence): boolean =>
  answer._tag === "Answered" || (answer._tag === "Refused" && answer.status === 405)
