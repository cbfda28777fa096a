/**
 * Where a backend stands, as its users see it.
 */
import type { FailureReason } from "./FailureReason.ts"

/** The state of a backend. Every state but `Closed` can be left. */
export type ConnectionState =
  | Idle
  | Connecting
  | Connected
  | Unhealthy
  | Disconnected
  | CircuitOpen
  | NeedsAuth
  | Isolated
  | Closed

/** No session yet and none wanted: `connect: "lazy"` before the first call, or asleep after `idleAfter`. */
export interface Idle {
  readonly _tag: "Idle"
}

/** An attempt is running. */
export interface Connecting {
  readonly _tag: "Connecting"
  /** the first attempt after a stable session is 1 */
  readonly attempt: number
  /** whether it is the trial of a half-open circuit: calls are rejected until it has succeeded */
  readonly trial: boolean
  /** the last reason for which there is no session; `undefined` where none was lost and no attempt has failed yet */
  readonly reason: FailureReason | undefined
}

/** A session is open and nothing speaks against it. */
export interface Connected {
  readonly _tag: "Connected"
  /** counts the sessions of this backend, from 1 */
  readonly generation: number
}

/**
 * A session is open and 1 to `failureThreshold - 1` probes in a row have failed; or more, all of them excused by a long call
 * that is in flight (`held`).
 */
export interface Unhealthy {
  readonly _tag: "Unhealthy"
  readonly generation: number
  /** counted up to `failureThreshold - 1`, 1 at least */
  readonly failures: number
  readonly reason: FailureReason
  /**
   * whether only a call in flight keeps the session from being given up: a server that works on it may not answer probes. No
   * new call is admitted until the server has answered, or the session was replaced.
   */
  readonly held: boolean
}

/** No session; the next attempt is due. */
export interface Disconnected {
  readonly _tag: "Disconnected"
  /** failed attempts in a row */
  readonly attempt: number
  readonly reason: FailureReason
}

/** Known bad: calls fail at once; a trial attempt is due. */
export interface CircuitOpen {
  readonly _tag: "CircuitOpen"
  /** how often the circuit has opened since the backend was last stable */
  readonly openings: number
  readonly reason: FailureReason
}

/** The credentials were rejected. Not an outage: retried on the circuit's schedule, by `reconnect` and by `reset`. */
export interface NeedsAuth {
  readonly _tag: "NeedsAuth"
}

/** An operator closed the backend; left only by `reset`. */
export interface Isolated {
  readonly _tag: "Isolated"
}

/** The scope of the backend has ended. */
export interface Closed {
  readonly _tag: "Closed"
}

/** The circuit breaker's own state, in the words of resilience4j and Envoy, derived and never stored. */
export const circuit = (state: ConnectionState): "closed" | "open" | "half-open" =>
  state._tag === "CircuitOpen" ? "open" : state._tag === "Connecting" && state.trial ? "half-open" : "closed"

/** What a call meets: it runs on the open session, waits for one, or is rejected at once. */
export const admission = (state: ConnectionState): "run" | "wait" | "reject" => {
  switch (state._tag) {
    case "Connected":
      return "run"
    case "Unhealthy":
      return state.held ? "wait" : "run"
    case "Idle":
    case "Disconnected":
      return "wait"
    case "Connecting":
      return state.trial ? "reject" : "wait"
    case "CircuitOpen":
    case "NeedsAuth":
    case "Isolated":
    case "Closed":
      return "reject"
  }
}

/** The last reason for which the backend is not well, if it is not. */
export const reasonOf = (state: ConnectionState): FailureReason | undefined => {
  switch (state._tag) {
    case "Connecting":
    case "Unhealthy":
    case "Disconnected":
    case "CircuitOpen":
      return state.reason
    case "NeedsAuth":
      return "auth"
    case "Isolated":
    case "Closed":
      return "closed"
    default:
      return undefined
  }
}
