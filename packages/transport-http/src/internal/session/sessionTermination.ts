/**
 * Session termination: `DELETE`, so that the server frees what it keeps (MCP 2025-11-25, transports, session management, 5).
 *
 * What ended the session may swallow its `DELETE` as well. A server that allows one session only would then refuse every other
 * one for ever, so the next session that is opened begins with what nobody has taken, and with what other processes have left.
 */
import type { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as StatusOnly from "./statusOnly.ts"
import type { SessionIdentity, Wire } from "./wire.ts"
import * as WrittenSession from "./writtenSession.ts"

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
  readonly #untaken = new Set<WrittenSession.Kept>()

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
          const kept = WrittenSession.of(wire)
          if (kept.identity.sessionId === undefined) return Effect.void
          return Effect.map(terminate(wire, kept.identity), (isTaken) => {
            if (isTaken) kept.ended()
            else this.#remember(kept)
          })
        })
      )
    })
  }

  /**
   * Terminates what nobody has taken, and what others have left, over a session that is being opened, before it is. A server that has
   * accepted another session does not need to hear it once more.
   */
  terminateBefore<E>(wire: Wire, opening: Effect.Effect<void, E>): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const due = new Set([...this.#untaken, ...WrittenSession.left(wire)])
      if (due.size === 0) return opening
      const over = (kept: WrittenSession.Kept) => {
        if (!due.delete(kept)) return
        this.#untaken.delete(kept)
        kept.ended()
      }
      const again = Effect.forEach(
        [...due],
        (kept) =>
          Effect.map(terminate(wire, kept.identity), (isTaken) => {
            if (isTaken) over(kept)
          }),
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
        Effect.tap(() => Effect.sync(() => due.forEach(over)))
      )
    })
  }

  #remember(kept: WrittenSession.Kept): void {
    this.#untaken.add(kept)
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
