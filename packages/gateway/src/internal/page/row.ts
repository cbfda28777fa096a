/**
 * A record as a row: what one sees of a backend at a glance, why it is so, and what to do.
 */
import type { ConnectionState } from "@vmcp-keepalive/core"
import * as Advice from "./advice.ts"
import * as Record from "./record.ts"
import * as Strip from "./strip.ts"
import type { Row } from "./wire.ts"
import * as Words from "./words.ts"

/** Whether somebody should look at it: it should serve and does not, or is about to. */
const needsAttention = (state: ConnectionState.ConnectionState): boolean => {
  switch (state._tag) {
    case "Unhealthy":
    case "Disconnected":
    case "CircuitOpen":
    case "NeedsAuth":
      return true
    case "Connecting":
      return state.reason !== undefined
    default:
      return false
  }
}

const nextAttemptOf = (state: ConnectionState.ConnectionState): number | undefined =>
  "nextAttemptAt" in state ? state.nextAttemptAt : undefined

export const of = (record: Record.Record, now: number): Row => {
  const { state } = record
  const { failed, total } = Record.calls(record, now)
  const latency = Record.latency(record)
  return {
    id: record.id,
    kind: record.kind,
    state: state._tag,
    ...Words.states[state._tag],
    attention: needsAttention(state),
    required: record.required,
    since: state.since,
    why: Words.whyOf(state, record.detail) ?? "",
    action: Advice.forState(state) ?? null,
    commands: Advice.commands(state._tag),
    nextAttemptAt: nextAttemptOf(state) ?? null,
    latency: latency === undefined ? null : Math.round(latency * 10) / 10,
    strip: Strip.since(record.strip, now),
    marks: record.marks.filter(({ at }) => at > now - Strip.span),
    tools: record.tools,
    inFlight: record.inFlight,
    calls: total,
    failed,
    ...(record.owner === undefined ? {} : { owner: record.owner })
  }
}
