/** When what happened while a fault was played, and what this makes of the calls and of the servers' own count. Pure. */
import type { Episode } from "./Expectation.ts"
import type { Seen as SeenByClient } from "./HostClient.ts"
import type { Call, Journal, State } from "./Journal.ts"
import type { Played } from "./Played.ts"
import type { Measured } from "./Report.ts"

/** How one fault went, before the servers were asked what they executed. Times are `performance.now()`. */
export interface Course {
  readonly fault: Played
  /** just before it */
  readonly since: number
  /** when all had been well again for a moment */
  readonly until: number
  readonly mark: number
  /** milliseconds; undefined: never */
  readonly detected: number | undefined
  readonly recovered: number | undefined
  readonly finalState: State
  /** what a look at the server found wrong */
  readonly wrong: ReadonlyArray<string>
}

/** What is known when the tour is over. */
export interface Seen {
  readonly courses: ReadonlyArray<Course>
  readonly journal: Pick<Journal, "calls" | "entries">
  readonly client: SeenByClient
  /** when the last course had ended: calls that began later do not count */
  readonly endedAt: number
  /** for each backend, how often its server executed each call */
  readonly executions: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/** Gives every call to the fault that it met, or to none. */
export const measure = ({ client, courses, endedAt, executions, journal }: Seen): Omit<Measured, "duration"> => {
  const taken = new Set<Call>()
  // A call that is in flight when the next fault comes belongs to that one, so the last ones choose first.
  const episodes = courses.toReversed().map(({ fault, mark, since, until, ...course }): Episode => {
    const { expectation, name, place, sign } = fault
    const calls = journal.calls.filter(
      (call) =>
        call.backend === place.id &&
        call.startedAt < until &&
        (call.endedAt ?? Number.POSITIVE_INFINITY) >= since &&
        !taken.has(call)
    )
    for (const call of calls) taken.add(call)
    const entries = journal.entries.filter(({ at, backend }) => backend === place.id && at >= since && at < until)
    const events = entries.flatMap(({ at, ...entry }) => (entry._tag === "Event" ? [{ at, event: entry.event }] : []))
    const closings = events.flatMap(({ at, event }) =>
      event._tag === "SessionClosed" ? [{ at, reason: event.reason }] : []
    )
    return {
      fault: name,
      backend: place.id,
      expectation,
      sign: sign.what,
      ...course,
      givenUp: closings[0] === undefined ? undefined : closings[0].at - mark,
      states: ["Connected", ...events.flatMap(({ event }) => (event._tag === "StateChanged" ? [event.to._tag] : []))],
      closed: closings.map(({ reason }) => reason),
      calls,
      executions: executions.get(place.id) ?? new Map()
    }
  })
  const all = new Map([...executions.values()].flatMap((counts) => [...counts]))
  return {
    episodes: episodes.toReversed(),
    otherwise: {
      calls: journal.calls.filter((call) => !taken.has(call) && call.startedAt < endedAt),
      executions: all
    },
    client: { ...client, executions: all }
  }
}
