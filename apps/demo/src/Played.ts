/**
 * A fault of the tour as data: what is done to which backend, how one sees that it has noticed, and what must follow.
 *
 * Times are bounded by what the policy promises, plus what a loaded machine with two cores may add.
 */
import { Duration, Effect } from "effect"
import type { Expectation } from "./Expectation.ts"
import type { Sign } from "./Journal.ts"
import type { Place } from "./Place.ts"
import { spacing } from "./Traffic.ts"
import type { SlowCall } from "./Traffic.ts"

/** One fault. */
export interface Played {
  readonly name: string
  readonly place: Place
  /** how long the traffic pauses, from before the fault; default: not at all */
  readonly quiet?: "until over" | "until noticed"
  /** slow calls that the server is executing when the fault comes */
  readonly inFlight?: ReadonlyArray<SlowCall>
  /** puts it in force; returns the mark, `performance.now()` of when it first had an effect */
  readonly inject: Effect.Effect<number, unknown>
  /** what shows that the backend has noticed */
  readonly sign: Sign
  /** what must be seen after that, one after the other, before the fault ends, and how long it then still lasts */
  readonly until?: ReadonlyArray<Sign>
  readonly lasts?: Duration.Duration
  /** ends the fault; without it, it was over with its mark, or nobody but the backend ends it */
  readonly end?: Effect.Effect<void, unknown>
  /** what shows that all is well again; default: a call that ends as ok */
  readonly recovery?: Sign
  /** looks at the server afterwards; returns what is wrong */
  readonly look?: Effect.Effect<ReadonlyArray<string>>
  readonly expectation: Expectation
}

/** What a loaded machine may add to a bound. */
export const slack = Duration.seconds(1.5)

/** The sum of what may follow each other on a loaded machine. */
export const plus = (...parts: ReadonlyArray<Duration.Duration>): Duration.Duration =>
  parts.reduce((sum, part) => Duration.sum(sum, part), slack)

/** Something that the next call meets. */
export const atNextCall = plus(spacing)

/** Until a lost session is replaced once the server is there: the longest wait for an attempt, and the attempt. */
export const untilReplaced = ({ policy: { circuit, connectTimeout } }: Place): Duration.Duration => {
  const openFor = typeof circuit === "object" && "cap" in circuit.openFor ? circuit.openFor.cap : Duration.zero
  return plus(openFor, connectTimeout)
}

/** Nothing but `ok`. */
export const allOk = { ok: "some", failed: 0, unknown: 0, rejected: 0 } as const
/** What may come of calls while nothing is there. */
export const outage = { ok: "some", failed: "any", unknown: "any", rejected: "any" } as const

/** The mark of what is done next. */
export const now = Effect.sync(() => performance.now())
