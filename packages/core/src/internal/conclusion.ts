/**
 * What the table is told of the end of an attempt or a probe: the verdict, and what was observed of the session meanwhile.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import type { Verdict } from "../Evidence.ts"
import { ofCause } from "../FailureDetail.ts"
import type { Attention } from "../engine/Probe.ts"
import type { Signal } from "../engine/Signal.ts"
import { heardForCallSince, type OpenSession } from "./sessionCell.ts"

export interface Observed {
  readonly run: number
  /** the session that is open, before the verdict has had an effect */
  readonly current: OpenSession<unknown> | undefined
  /** monotonic milliseconds */
  readonly at: number
  /** whether this process itself was late */
  readonly late: boolean
  /** whether an older session still drains */
  readonly draining: boolean
  /** when the session that was opened, or asked, is to be probed while it is healthy */
  readonly attention: Attention
}

/** What an attempt or a probe has come to. */
export interface Conclusion {
  readonly verdict: Verdict
  /** whether this process itself was late, so that a failure proves nothing about the server */
  readonly late: boolean
}

/** A transport, or code of the user's that it runs, has thrown: a defect of theirs must not end the keeping alive. */
export const broken = (cause: Cause.Cause<unknown>): Verdict => ({
  _tag: "Failed",
  reason: "unknown",
  detail: ofCause(cause)
})

/**
 * Whether something that was to end after a time, or after several of them, ended later by more than one: a timer that fires
 * so late tells of this process and not of the server.
 */
export const isLate = (took: number, time: Duration.Duration, times = 1): boolean =>
  took > (times + 1) * Duration.toMillis(time)

export const signalOf = (verdict: Verdict, { at, attention, current, draining, late, run }: Observed): Signal => {
  switch (verdict._tag) {
    case "Succeeded":
      return { _tag: "Succeeded", run, attention }
    case "Failed": {
      const missedSince = current?.seen.missedSince ?? at
      const heard = current && heardForCallSince(current, missedSince)
      return {
        _tag: "Failed",
        run,
        reason: verdict.reason,
        callInFlight: heard !== undefined,
        silentFor: Duration.millis(at - (heard ?? at)),
        missedFor: Duration.millis(at - missedSince),
        late,
        draining
      }
    }
    case "Busy":
      return { _tag: "Busy", run, retryAfter: verdict.retryAfter }
    case "AuthRejected":
      return { _tag: "AuthRejected", run }
  }
}
