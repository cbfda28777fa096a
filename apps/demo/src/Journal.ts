/**
 * What happened, in order and on one clock: the events of every backend, the calls and what came of them.
 *
 * Everything that the tour waits for, prints and judges is read here.
 */
import type { ConnectionState, FailureDetail, FailureReason, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect } from "effect"

/** The name of a state. */
export type State = ConnectionState.ConnectionState["_tag"]

/** How a call ended, for its caller. */
export type Outcome = "ok" | "failed" | "unknown" | "rejected"

/** One tool call. The fields that say how it ended are set when it has. */
export interface Call {
  readonly backend: string
  /** tool and arguments, which no other call has: by this the server's own count is compared */
  readonly key: string
  readonly idempotent: boolean
  readonly startedAt: number
  endedAt?: number
  outcome?: Outcome
  reason?: FailureReason.FailureReason | undefined
  detail?: FailureDetail.FailureDetail | undefined
}

/** Something that happened. `at` is `performance.now()`, as are the marks of the fault proxy. */
export type Entry = { readonly at: number; readonly backend: string } & (
  | { readonly _tag: "Event"; readonly event: KeepaliveEvent.KeepaliveEvent }
  | { readonly _tag: "CallEnded"; readonly call: Call }
  /** a backend asked for its credentials */
  | { readonly _tag: "CredentialsRead" }
  /** the tour did something */
  | { readonly _tag: "Remark"; readonly kind: RemarkKind; readonly text: string }
)

/** A fault begins, callers were told something of it, it is over. */
export type RemarkKind = "fault" | "told" | "end"

/** What an entry says beside when and where. */
export type Happening = Entry extends infer One ? (One extends Entry ? Omit<One, "at" | "backend"> : never) : never

/** Something to look out for. */
export interface Sign {
  /** in words, for the report */
  readonly what: string
  readonly is: (entry: Entry) => boolean
}

export interface Journal {
  readonly entries: ReadonlyArray<Entry>
  readonly calls: ReadonlyArray<Call>
  /** A call begins. What becomes of it is written into it. */
  readonly begin: (call: Call) => void
  readonly add: (backend: string, happening: Happening) => void
  /** The first entry of the backend since then, past or future, that is the sign. */
  readonly first: (backend: string, since: number, sign: Sign) => Effect.Effect<Entry>
  /** From now on nothing is remembered, and only the reader gets what happens: a program that goes on for days would remember all of it. */
  readonly forget: () => void
}

/** Begins one; the reader gets every entry when it is added. */
export const make = (reader: (entry: Entry) => void): Journal => {
  const entries: Array<Entry> = []
  const calls: Array<Call> = []
  let isRemembering = true
  const waiting = new Set<(entry: Entry) => boolean>()
  return {
    entries,
    calls,
    begin: (call) => {
      if (isRemembering) calls.push(call)
    },
    add: (backend, happening) => {
      const entry: Entry = { at: performance.now(), backend, ...happening }
      if (isRemembering) entries.push(entry)
      reader(entry)
      for (const look of [...waiting]) look(entry)
    },
    first: (backend, since, sign) =>
      Effect.callback((resume) => {
        const look = (entry: Entry) => {
          if (entry.backend !== backend || entry.at < since || !sign.is(entry)) return false
          waiting.delete(look)
          resume(Effect.succeed(entry))
          return true
        }
        if (entries.some(look)) return
        waiting.add(look)
        return Effect.sync(() => waiting.delete(look))
      }),
    forget: () => {
      isRemembering = false
      entries.length = 0
      calls.length = 0
    }
  }
}

/** Signs. */
export const leaves = (state: State): Sign => ({
  what: `the state is ${state} no more`,
  is: (entry) => stateChange(entry)?.from === state && stateChange(entry)?.to !== state
})
export const reaches = (state: State): Sign => ({
  what: `the state is ${state}`,
  is: (entry) => stateChange(entry)?.to === state
})
export const closes = (...reasons: ReadonlyArray<FailureReason.FailureReason>): Sign => ({
  what: `the session is given up (${reasons.join(" or ")})`,
  is: (entry) => entry._tag === "Event" && entry.event._tag === "SessionClosed" && reasons.includes(entry.event.reason)
})
export const notices = (notice: KeepaliveEvent.Notice): Sign => ({
  what: `the notice ${notice}`,
  is: (entry) => entry._tag === "Event" && entry.event._tag === "Noticed" && entry.event.notice === notice
})
export const callEnds = (outcome: Outcome, reason?: FailureReason.FailureReason): Sign => ({
  what: `a call ends as ${outcome}${reason === undefined ? "" : ` (${reason})`}`,
  is: (entry) =>
    entry._tag === "CallEnded" &&
    entry.call.outcome === outcome &&
    (reason === undefined || entry.call.reason === reason)
})
export const credentialsRead: Sign = {
  what: "the credentials are read again",
  is: (entry) => entry._tag === "CredentialsRead"
}

/** The state before and after, where an entry is a change of state. */
export const stateChange = (entry: Entry): { readonly from: State; readonly to: State } | undefined =>
  entry._tag === "Event" && entry.event._tag === "StateChanged"
    ? { from: entry.event.from._tag, to: entry.event.to._tag }
    : undefined
