/**
 * What a fault must lead to, as data, and whether it did: pure, so that a test can show that it can fail.
 */
import type { FailureReason } from "@vmcp-keepalive/core"
import { Duration } from "effect"
import type { Call, Outcome, State } from "./Journal.ts"

/** So many; at least one; or however many. */
export type Count = number | "some" | "any"

/** What a fault must lead to. The state must be Connected in the end, whatever the fault. */
export interface Expectation {
  /** from the fault's mark to the first sign that the backend has noticed it */
  readonly detectedWithin: Duration.Duration
  /** from the fault's mark to the end of the session; default: no matter */
  readonly givenUpWithin?: Duration.Duration
  /** from the fault's end, or from its mark if nobody else ends it, to the first sign that all is well */
  readonly recoveredWithin: Duration.Duration
  /** states that follow each other; others may stand between them. `["Connected"]`: it is never left */
  readonly states: ReadonlyArray<State>
  /** the reasons for which a session may be given up; empty: it survives */
  readonly closedFor: ReadonlyArray<FailureReason.FailureReason>
  /** how many calls of the time of the fault end how */
  readonly calls: Readonly<Record<Outcome, Count>>
  /** the only reason for which calls may fail or be unknown; default: any */
  readonly because?: FailureReason.FailureReason
  /** what some caller must be told: the reason, the transport's word on it, and a line that the server wrote */
  readonly told?: {
    readonly reason: FailureReason.FailureReason
    readonly summary: string
    readonly line?: string
  }
  /** how many calls were executed more than once; default none. Only idempotent ones may be, in any case */
  readonly executedAgain?: Count
}

/** What was measured of one fault. */
export interface Episode {
  readonly fault: string
  readonly backend: string
  readonly expectation: Expectation
  /** what counts as noticed, in words */
  readonly sign: string
  /** milliseconds; undefined: never */
  readonly detected: number | undefined
  readonly givenUp: number | undefined
  readonly recovered: number | undefined
  readonly finalState: State
  /** every state since just before the fault */
  readonly states: ReadonlyArray<State>
  /** why sessions were given up */
  readonly closed: ReadonlyArray<FailureReason.FailureReason>
  readonly calls: ReadonlyArray<Call>
  /** how often the server executed each call, by its key */
  readonly executions: ReadonlyMap<string, number>
  /** what a look at the server found wrong */
  readonly wrong: ReadonlyArray<string>
}

export const outcomes: ReadonlyArray<Outcome> = ["ok", "failed", "unknown", "rejected"]

/** The longest that a call may take: it must settle, whatever happens. */
export const longestCall = Duration.seconds(15)

/** How many calls ended so. */
export const count = (calls: ReadonlyArray<Call>, outcome: Outcome): number =>
  calls.filter((call) => call.outcome === outcome).length

/** How often the server executed any of the calls. */
export const executed = ({ calls, executions }: Pick<Episode, "calls" | "executions">): number =>
  calls.reduce((sum, call) => sum + (executions.get(call.key) ?? 0), 0)

/** Whether the caller was told that; if nothing was to be told, not. */
export const isTold = ({ detail, reason }: Call, told: Expectation["told"]): boolean =>
  told !== undefined &&
  reason === told.reason &&
  detail?.summary === told.summary &&
  (told.line === undefined || detail.output.includes(told.line))

/** Everything that is not as expected; empty when the expectation is met. */
export const judge = (episode: Episode): ReadonlyArray<string> => {
  const { calls, closed, expectation, sign } = episode
  return [
    ...within(`not noticed (${sign})`, "noticed", episode.detected, expectation.detectedWithin),
    ...(expectation.givenUpWithin === undefined
      ? []
      : within("the session was not given up", "given up", episode.givenUp, expectation.givenUpWithin)),
    ...within("not recovered", "recovered", episode.recovered, expectation.recoveredWithin),
    ...(episode.finalState === "Connected" ? [] : [`in the end the state is ${episode.finalState}`]),
    ...wrongStates(episode.states, expectation.states),
    ...wrongClosings(closed, expectation.closedFor),
    ...outcomes.flatMap((outcome) =>
      wrongCount(`calls ended as ${outcome}`, count(calls, outcome), expectation.calls[outcome])
    ),
    ...wrongCount(
      "calls were executed again",
      calls.filter(({ key }) => (episode.executions.get(key) ?? 0) > 1).length,
      expectation.executedAgain ?? 0
    ),
    ...wrongReasons(calls, expectation.because),
    ...untold(calls, expectation.told),
    ...untruths(episode),
    ...episode.wrong
  ]
}

/** What no call may be, in a fault or outside of one: what it told its caller is not what the server did. */
export const untruths = ({ calls, executions }: Pick<Episode, "calls" | "executions">): ReadonlyArray<string> =>
  calls.flatMap((call) => {
    const times = executions.get(call.key) ?? 0
    const duration = (call.endedAt ?? Number.POSITIVE_INFINITY) - call.startedAt
    const isRefusal = call.outcome === "rejected" || (call.outcome === "failed" && call.reason === "busy")
    return [
      ...(duration <= Duration.toMillis(longestCall) ? [] : [`${call.key} did not settle`]),
      ...(call.outcome === "ok" && times === 0 ? [`${call.key} ended as ok and was not executed`] : []),
      ...(isRefusal && times > 0 ? [`${call.key} was ${call.outcome} and executed all the same`] : []),
      ...(times > 1 && !call.idempotent ? [`${call.key} is not idempotent and was executed ${times} times`] : [])
    ]
  })

const within = (
  missing: string,
  what: string,
  measured: number | undefined,
  bound: Duration.Duration
): ReadonlyArray<string> => {
  if (measured === undefined) return [missing]
  const limit = Duration.toMillis(bound)
  return measured <= limit ? [] : [`${what} after ${Math.round(measured)} ms, expected within ${Math.round(limit)} ms`]
}

const wrongStates = (seen: ReadonlyArray<State>, expected: ReadonlyArray<State>): ReadonlyArray<string> => {
  const isQuiet = expected.length === 1
  let found = 0
  for (const state of seen) if (state === expected[found]) found++
  const isMet = isQuiet ? seen.every((state) => state === expected[0]) : found === expected.length
  return isMet ? [] : [`states were ${seen.join(", ")}; expected ${isQuiet ? "only " : ""}${expected.join(", ")}`]
}

const wrongClosings = (
  closed: ReadonlyArray<FailureReason.FailureReason>,
  allowed: ReadonlyArray<FailureReason.FailureReason>
): ReadonlyArray<string> => {
  const foreign = closed.filter((reason) => !allowed.includes(reason))
  if (foreign.length > 0) return [`the session was given up (${foreign.join(", ")})`]
  return allowed.length > 0 && closed.length === 0 ? [`no session was given up (${allowed.join(" or ")})`] : []
}

const wrongCount = (what: string, found: number, expected: Count): ReadonlyArray<string> => {
  const isMet = expected === "any" || (expected === "some" ? found > 0 : found === expected)
  return isMet ? [] : [`${what}: ${found}, expected ${expected}`]
}

const wrongReasons = (
  calls: ReadonlyArray<Call>,
  because: FailureReason.FailureReason | undefined
): ReadonlyArray<string> => {
  if (because === undefined) return []
  const lost = calls.filter(({ outcome }) => outcome === "failed" || outcome === "unknown")
  const foreign = new Set(lost.map(({ reason }) => reason).filter((reason) => reason !== because))
  return [...foreign].map((reason) => `a call ended for the reason ${reason ?? "that the server gave"}, not ${because}`)
}

const untold = (calls: ReadonlyArray<Call>, told: Expectation["told"]): ReadonlyArray<string> => {
  if (told === undefined || calls.some((call) => isTold(call, told))) return []
  const line = told.line === undefined ? "" : ` and the line "${told.line}"`
  return [`no caller was told of ${told.reason}, ${told.summary}${line}`]
}
