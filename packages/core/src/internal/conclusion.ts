/**
 * What the table is told of the end of an attempt or a probe: the verdict, and what was observed of the session meanwhile.
 */
import * as Duration from "effect/Duration"
import type { Verdict } from "../Evidence.ts"
import type { Signal } from "../Signal.ts"
import { hasCallSince, type OpenSession } from "./sessionCell.ts"

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
  /** whether a session that succeeded is to be probed while it is healthy */
  readonly probed: boolean
}

export const signalOf = (verdict: Verdict, { at, current, draining, late, probed, run }: Observed): Signal => {
  switch (verdict._tag) {
    case "Succeeded":
      return { _tag: "Succeeded", run, probed }
    case "Failed":
      return {
        _tag: "Failed",
        run,
        reason: verdict.reason,
        callInFlight: current !== undefined && hasCallSince(current, current.seen.missedSince ?? at),
        silentFor: Duration.millis(at - (current?.seen.alive ?? at)),
        late,
        draining
      }
    case "Busy":
      return { _tag: "Busy", run, retryAfter: verdict.retryAfter }
    case "AuthRejected":
      return { _tag: "AuthRejected", run }
  }
}
