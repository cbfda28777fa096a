/**
 * The figures of one backend.
 *
 * A series is made by the first event that needs it, and held: a further event costs one look-up and one update.
 */
import type { ConnectionState } from "@vmcp-keepalive/core/ConnectionState"
import type { CallSettled, KeepaliveEvent } from "@vmcp-keepalive/core/KeepaliveEvent"
import * as Duration from "effect/Duration"
import * as Catalog from "./catalog.ts"
import * as Conventions from "./conventions.ts"
import type { Target } from "./target.ts"

export interface Series {
  readonly count: (event: KeepaliveEvent) => void
  /** Counts that this process keeps the backend of a cluster, until what it returns runs. */
  readonly kept: (isCertain: () => boolean) => () => void
  /** whether every backend of this id has closed */
  readonly isClosed: () => boolean
  readonly remove: () => void
}

/** Every state that a backend can be in. */
export const states = Object.keys({
  Idle: true,
  Connecting: true,
  Connected: true,
  Unhealthy: true,
  Disconnected: true,
  CircuitOpen: true,
  NeedsAuth: true,
  Isolated: true,
  Closed: true
} satisfies { readonly [Tag in ConnectionState["_tag"]]: true })

/** One series of a backend, but for the backend: the same object for the same words. */
interface Column {
  readonly entry: Catalog.Entry
  readonly attributes: Readonly<Record<string, string>>
}

const plain = (entry: Catalog.Entry): Column => ({ entry, attributes: {} })

/** Words come from closed sets, so that this does not grow. */
const byWord = (entry: Catalog.Entry, label: string) => {
  const columns = new Map<string, Column>()
  return (word: string): Column => {
    const known = columns.get(word)
    if (known !== undefined) return known
    const column = { entry, attributes: { [label]: word } }
    columns.set(word, column)
    return column
  }
}

const attempt = plain(Catalog.attempt)
const success = plain(Catalog.success)
const latency = plain(Catalog.latency)
const suppressed = plain(Catalog.suppressed)
const failure = byWord(Catalog.failure, "reason")
const autoDisabled = byWord(Catalog.autoDisabled, "reason")
const sessionLost = byWord(Catalog.sessionLost, "reason")
const connectFailure = byWord(Catalog.connectFailure, "reason")
const reconnect = byWord(Catalog.reconnect, "outcome")
const call = byWord(Catalog.call, "outcome")
const rejected = byWord(Catalog.rejected, "reason")
const required = plain(Catalog.required)
const replayDenied = plain(Catalog.replayDenied)
const sessionExpired = plain(Catalog.sessionExpired)
const moves = plain(Catalog.moves)
const callDuration = byWord(Catalog.callDuration, "outcome")
const inState = byWord(Catalog.state, "state")

/** As {@link byWord}, for several labels. */
const byLabels = new Map<string, Column>()
const columnOf = (entry: Catalog.Entry, attributes: Readonly<Record<string, string>>): Column => {
  const key = [entry.name, ...Object.entries(attributes).flat()].join(" ")
  const column = byLabels.get(key) ?? { entry, attributes }
  byLabels.set(key, column)
  return column
}

const changes = ["added", "removed", "changed"] as const

/** `now`: a clock of milliseconds that never goes back, if OpenTelemetry's metrics of an MCP client are counted too. */
export const make = <Handle>(backend: string, target: Target<Handle>, now: (() => number) | undefined): Series => {
  const handles = new Map<Column, Handle>()
  let state: string | undefined
  /** whether the backend has attempted to open a session before */
  let attempted = false
  /** how many of this id live: one that is replaced may close after the next has started */
  let living = 0
  let callsInFlight = 0
  let removeInFlight: (() => void) | undefined
  let callsQueued = 0
  let removeQueued: (() => void) | undefined
  const keeping = new Set<() => boolean>()
  let removeOwner: (() => void) | undefined

  const update = (column: Column, value: number) => {
    let handle = handles.get(column)
    if (handle === undefined) {
      handle = target.make(column.entry, { backend_id: backend, ...column.attributes })
      handles.set(column, handle)
    }
    target.update(handle, value)
  }

  /** A backend that never was required has no series. */
  const require = (isRequired: boolean) => {
    if (isRequired || handles.has(required)) update(required, isRequired ? 1 : 0)
  }

  const enter = (to: string) => {
    const left = state === undefined ? states : [state]
    for (const tag of left) if (tag !== to) update(inState(tag), 0)
    update(inState(to), 1)
    state = to
  }

  const close = () => {
    living = Math.max(0, living - 1)
    if (living === 0) enter("Closed")
  }

  const attempting = (outcome: "ok" | "failed") => {
    if (attempted) update(reconnect(outcome), 1)
    attempted = true
  }

  const settled = ({ duration, outcome, reason, replayed }: CallSettled) => {
    if (outcome === "rejected") update(rejected(reason ?? "unknown"), 1)
    const word = outcome === "ok" && replayed ? "replayed" : outcome
    update(call(word), 1)
    update(callDuration(word), Duration.toSeconds(duration))
    // a call may have begun before this series
    callsInFlight = Math.max(0, callsInFlight - 1)
  }

  const conventions =
    now && Conventions.make((entry, attributes, seconds) => update(columnOf(entry, attributes), seconds), now)

  return {
    count: (event) => {
      conventions?.(event)
      switch (event._tag) {
        case "ProbeSent":
          return update(attempt, 1)
        case "ProbeSucceeded":
          update(latency, Duration.toSeconds(event.latency))
          return update(success, 1)
        case "ProbeFailed":
          return update(failure(event.reason), 1)
        case "ProbeSuppressed":
          return update(suppressed, 1)
        case "CircuitOpened":
          return update(autoDisabled(event.reason), 1)
        case "AttemptSucceeded":
          return attempting("ok")
        case "AttemptFailed":
          update(connectFailure(event.reason), 1)
          return attempting("failed")
        case "SessionClosed":
          // one that was closed on purpose was not lost
          return event.reason === "closed" ? undefined : update(sessionLost(event.reason), 1)
        case "CallStarted":
          callsInFlight++
          removeInFlight ??= target.observe(Catalog.inFlight, { backend_id: backend }, () => callsInFlight)
          return
        case "CallQueued":
          callsQueued++
          removeQueued ??= target.observe(Catalog.queued, { backend_id: backend }, () => callsQueued)
          return
        case "CallDequeued":
          callsQueued = Math.max(0, callsQueued - 1)
          return
        case "ReplayDenied":
          return update(replayDenied, 1)
        case "SessionExpired":
          return update(sessionExpired, 1)
        case "CallSettled":
          return settled(event)
        case "ListChanged":
          for (const change of changes) {
            const { length } = event[change]
            if (length > 0) update(columnOf(Catalog.listChanges, { change, kind: event.kind }), length)
          }
          return
        case "Started":
          living++
          attempted = false
          require(event.required)
          return enter(event.state._tag)
        case "Reconfigured":
          return require(event.required)
        case "StateChanged":
          return event.to._tag === "Closed" ? close() : enter(event.to._tag)
      }
    },
    kept: (isCertain) => {
      update(moves, 1)
      keeping.add(isCertain)
      const isOwner = () => ([...keeping].some((isCertain) => isCertain()) ? 1 : 0)
      removeOwner ??= target.observe(Catalog.owner, { backend_id: backend }, isOwner)
      return () => void keeping.delete(isCertain)
    },
    isClosed: () => state === "Closed",
    remove: () => {
      for (const handle of handles.values()) target.remove(handle)
      handles.clear()
      removeInFlight?.()
      removeQueued?.()
      removeOwner?.()
    }
  }
}
