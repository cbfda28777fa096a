/**
 * The sessions of one backend: the current one, and those that drain. What a session has seen is kept here and not in
 * the transition table, so that a received byte costs one assignment.
 */
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { RequestRecord, Session } from "../Connector.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Ladder } from "../engine/Probe.ts"
import type { Timer } from "../engine/Signal.ts"
import type { Deadline } from "./deadlines.ts"
import type { Table } from "./table.ts"

/** A session with what was seen of it. Times are monotonic milliseconds. */
export interface OpenSession<Client> {
  readonly generation: number
  readonly session: Session<Client>
  readonly scope: Scope.Closeable
  readonly ladder: Ladder
  readonly seen: Seen
  /** who reads the credentials again, while somebody does */
  reading: Fiber.Fiber<boolean> | undefined
  readonly calls: Calls
  /** the server's tools, once they were read on this session */
  tools: Table
  /** why it was let go of, once it was: it closes when the last call has ended */
  draining: FailureReason | undefined
  /** by when its calls have ended, or are ended with it */
  drainEnds: Deadline | undefined
  /** why the session ended, once it has */
  ended: FailureReason | undefined
  /** of the attempt that opened it, where there are spans */
  readonly span: Tracer.Span | undefined
  /** since when it has been stable, in monotonic milliseconds; `undefined` while it is not */
  stableSince: number | undefined
  /** what was seen when it failed last: a probe, a call that cast doubt on it, the transport that reported its end */
  detail: FailureDetail | undefined
}

/** What the transport reports of a session, also while it is being opened. */
export interface Seen {
  /** the last byte */
  alive: number
  /** the last answer to a request of ours */
  answer: number
  /** the end of the last call */
  call: number
  /** when credentials were read last that differed from those that had been sent; minus infinity where none were */
  credentials: number
  /** the first of the probes that failed in a row */
  missedSince: number | undefined
  /** whether the session is over, so that nothing it still reports counts */
  muted: boolean
}

/** A call that is running on a session. */
export interface CallInFlight {
  /** infinite where the session is only held, and nothing is asked of the server */
  readonly startedAt: number
  readonly requests: ReadonlyArray<RequestRecord>
  /** the session is gone; settles the call */
  readonly abandon: (reason: FailureReason) => void
  /** its neighbours in {@link Calls} */
  before: CallInFlight | undefined
  after: CallInFlight | undefined
  isIn: boolean
}

/** The calls that run on a session, in the order of their beginning: linked, so that one that comes and goes makes nothing. */
export class Calls {
  #first: CallInFlight | undefined
  #last: CallInFlight | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  add(call: CallInFlight): void {
    call.isIn = true
    call.before = this.#last
    call.after = undefined
    if (this.#last === undefined) this.#first = call
    else this.#last.after = call
    this.#last = call
    this.#size++
  }

  /** False where it is not one of them any more. */
  delete(call: CallInFlight): boolean {
    if (!call.isIn) return false
    call.isIn = false
    if (call.before === undefined) this.#first = call.after
    else call.before.after = call.after
    if (call.after === undefined) this.#last = call.before
    else call.after.before = call.before
    call.before = undefined
    call.after = undefined
    this.#size--
    return true
  }

  /** All of them, which are none any more. */
  take(): ReadonlyArray<CallInFlight> {
    const all = [...this]
    for (const call of all) this.delete(call)
    return all
  }

  *[Symbol.iterator](): Generator<CallInFlight, void> {
    for (let call = this.#first; call !== undefined; call = call.after) yield call
  }
}

/** Whether a call that is bound to this session may begin: also while it drains, if it was replaced on purpose. */
export const isUsable = (open: OpenSession<unknown>): boolean =>
  open.ended === undefined && (open.draining === undefined || open.draining === "closed")

/** What runs on the session. A body that holds it between its calls (`pinned`) is no call. */
export const callsOn = (open: OpenSession<unknown>): "none" | "idle" | "waiting" => {
  if (open.calls.size === 0) return "none"
  let calls: "none" | "idle" = "none"
  for (const { requests, startedAt } of open.calls) {
    if (startedAt === Number.POSITIVE_INFINITY) continue
    if (requests.some(({ settled }) => !settled)) return "waiting"
    calls = "idle"
  }
  return calls
}

/** When something was heard last for a call that began before `since` and is still running; `undefined` where there is none. */
export const heardForCallSince = (open: OpenSession<unknown>, since: number): number | undefined => {
  let heard: number | undefined
  for (const call of open.calls) {
    if (call.startedAt <= since) heard = Math.max(heard ?? call.startedAt, heardFor(open, call))
  }
  return heard
}

/** Bytes of the call itself, where they can be told from those of others; until the first, it began. */
const heardFor = ({ seen, session }: OpenSession<unknown>, { requests, startedAt }: CallInFlight): number => {
  if (!session.separateAnswers) return Math.max(startedAt, seen.alive)
  let heard = startedAt
  for (const { heardAt } of requests) if (heardAt !== undefined && heardAt > heard) heard = heardAt
  return heard
}

/** When the last answer came or the last call ended; now, while a call is running. */
export const lastOf = (open: OpenSession<unknown>, what: "answer" | "call", now: number): number =>
  what === "call" && open.calls.size > 0 ? now : open.seen[what]

/** Whether something happened that makes the timer needless: an answer, a call. */
export const isUsedSince = (open: OpenSession<unknown>, timer: Timer, since: number): boolean => {
  if (timer === "probe") return open.seen.answer > since
  return timer === "idle" && (open.calls.size > 0 || open.seen.call > since)
}
