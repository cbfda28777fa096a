/**
 * What is kept of one backend, so that a row and its details can be told: of everything that grows with time or traffic only the last,
 * or counts. A record is changed in place: there is one for each backend, and each event touches one.
 */
import type { ConnectionState, KeepaliveEvent } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Strip from "./strip.ts"
import type { Entry, Mark, Segment } from "./wire.ts"

/** how many lines are kept of what happened to a backend */
export const historyLimit = 200
/** how many marks are kept of a backend */
export const marksLimit = 50
/** of how many probes the latency is the median: as many as tell a habit from an accident */
const latencies = 9
/** how long calls are counted together, in milliseconds */
const bucket = 10_000

interface Calls {
  /** number of the period in which they ended */
  readonly period: number
  total: number
  failed: number
}

export interface Record {
  readonly id: string
  kind: string
  required: boolean
  state: ConnectionState.ConnectionState
  /** what was seen last of what is wrong, in words of the library's own */
  detail: string | undefined
  tools: number
  inFlight: number
  /** the process that keeps it, null while none does; `undefined` where that is not known, or there is no other */
  owner: string | null | undefined
  strip: ReadonlyArray<Segment>
  readonly marks: Array<Mark>
  readonly latencies: Array<number>
  readonly calls: Array<Calls>
  readonly history: Array<Entry>
}

export const make = (options: {
  readonly id: string
  readonly kind: string
  readonly required: boolean
  readonly state: ConnectionState.ConnectionState
  readonly tools: number
  readonly now: number
}): Record => ({
  id: options.id,
  kind: options.kind,
  required: options.required,
  state: options.state,
  detail: undefined,
  tools: options.tools,
  inFlight: 0,
  owner: undefined,
  strip: Strip.add([], options.state._tag, Math.min(options.state.since, options.now)),
  marks: [],
  latencies: [],
  calls: [],
  history: []
})

/** It is in this state. */
export const enter = (record: Record, state: ConnectionState.ConnectionState, at: number): void => {
  record.state = state
  if (state._tag === "Connected" || state._tag === "Isolated" || state._tag === "Idle") record.detail = undefined
  record.strip = Strip.add(record.strip, state._tag, at)
}

/** What an event says; whether it changes what is told of the backend. */
export const take = (record: Record, event: KeepaliveEvent.KeepaliveEvent): boolean => {
  switch (event._tag) {
    case "Started":
      record.required = event.required
      enter(record, event.state, event.at)
      return true
    case "Reconfigured":
      record.required = event.required
      return true
    case "StateChanged":
      enter(record, event.to, event.at)
      return true
    case "AttemptFailed":
    case "ProbeFailed":
      record.detail = event.detail
      return true
    case "SessionClosed":
      // of a session that was replaced or ended on purpose, its end says nothing of how the backend is
      if (event.reason !== "closed") record.detail = event.detail
      return true
    case "ProbeSucceeded":
      last(record.latencies, Duration.toMillis(event.latency), latencies)
      return true
    case "CallStarted":
      record.inFlight++
      return true
    case "CallSettled": {
      // those that began before the page did were not counted
      record.inFlight = Math.max(0, record.inFlight - 1)
      count(record, event.at, event.outcome !== "ok")
      return true
    }
    default:
      return false
  }
}

/** This process keeps it, or none; whether that is another one than before, where one was known. */
export const keep = (record: Record, owner: string | null): boolean => {
  const isMove = record.owner !== undefined && record.owner !== owner
  record.owner = owner
  return isMove
}

/** Keeps a line of its history. */
export const remember = (record: Record, entry: Entry): void => last(record.history, entry, historyLimit)

/** Marks its strip. */
export const mark = (record: Record, mark: Mark): void => last(record.marks, mark, marksLimit)

/** Calls that ended within the last five minutes. */
export const calls = (record: Record, now: number): { readonly total: number; readonly failed: number } => {
  const sum = { total: 0, failed: 0 }
  for (const { failed, period, total } of record.calls)
    if (period > Math.floor((now - Strip.span) / bucket)) {
      sum.total += total
      sum.failed += failed
    }
  return sum
}

/** The median of its last probes, in milliseconds. */
export const latency = (record: Record): number | undefined =>
  record.latencies.toSorted((one, other) => one - other)[Math.floor(record.latencies.length / 2)]

const count = (record: Record, at: number, isFailed: boolean): void => {
  const period = Math.floor(at / bucket)
  let current = record.calls.at(-1)
  if (current === undefined || current.period < period) {
    current = { period, total: 0, failed: 0 }
    last(record.calls, current, Strip.span / bucket)
  }
  current.total++
  if (isFailed) current.failed++
}

const last = <Item>(items: Array<Item>, item: Item, limit: number): void => {
  items.push(item)
  if (items.length > limit) items.shift()
}
