/**
 * The end of a session on the server: `DELETE`, so that it frees what it keeps (MCP 2025-11-25, transports, session
 * management, 5).
 *
 * What ended the session may swallow its `DELETE` as well. A server that allows one session only would then refuse
 * every other one for ever, so the next session that is opened begins with what nobody has taken.
 */
import type { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Bodiless from "./bodiless.ts"
import type { Line, Wire } from "./wire.ts"

/** How long telling the server that a session ends may take. */
const bound = "1 second"

/** How long a session that is opened waits for the farewell of others: a round trip, and not for a server that hangs. */
const patience = "250 millis"

/** How many sessions are remembered whose farewell nobody has taken: those that end half open could be any number. */
const remembered = 8

/** The farewells to one server. */
export class Farewells {
  readonly #untaken = new Set<Line>()

  /** Says that this session ends, if it has begun. */
  say(wire: Wire): Effect.Effect<void> {
    return Effect.suspend(() => {
      const line = wire.line()
      if (line.sessionId === undefined) return Effect.void
      return Effect.map(say(wire, line), (taken) => {
        if (!taken) this.#remember(line)
      })
    })
  }

  /**
   * Says again what nobody has taken, over a session that is being opened, and opens it. A server that has accepted
   * another session does not need to hear it once more.
   */
  sayAgain<E>(wire: Wire, opening: Effect.Effect<void, E>): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const due = [...this.#untaken]
      if (due.length === 0) return opening
      const again = Effect.forEach(
        due,
        (line) => Effect.map(say(wire, line), (taken) => taken && this.#untaken.delete(line)),
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
        Effect.tap(() => Effect.sync(() => due.forEach((line) => this.#untaken.delete(line))))
      )
    })
  }

  #remember(line: Line): void {
    this.#untaken.add(line)
    const oldest = this.#untaken.size > remembered ? this.#untaken.values().next().value : undefined
    if (oldest !== undefined) this.#untaken.delete(oldest)
  }
}

/** Says it once; true when the server has taken it. */
const say = (wire: Wire, line: Line): Effect.Effect<boolean> =>
  Effect.map(
    Effect.timeoutOption(Bodiless.send(wire, "DELETE", line), bound),
    Option.match({ onNone: () => false, onSome: isTaken })
  )

/**
 * Whether the server itself has heard it. Also 405: it never lets a client end a session. A 404 may be the server's, which
 * does not know the session, or that of a proxy, behind which the session lives on.
 */
const isTaken = (answer: Evidence.Evidence): boolean =>
  answer._tag === "Answered" || (answer._tag === "Refused" && answer.status === 405)
