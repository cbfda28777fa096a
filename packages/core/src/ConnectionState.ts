/**
 * Where a backend stands, as its users see it.
 *
 * Times are of the wall clock, in milliseconds since 1970.
 */
import * as Schema from "effect/Schema"
import { FailureReason } from "./FailureReason.ts"
import { Count, Time } from "./internal/schemas.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * The state of a backend. Every state but `Closed` can be left.
 *
 * @since 0.1.0
 */
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

/**
 * No session yet and none wanted: `connect: "lazy"` before the first call, or asleep after `idleAfter`.
 *
 * @since 0.1.0
 */
export interface Idle extends Schema.Schema.Type<typeof Idle> {}
/** @since 0.1.0 */
export const Idle = Schema.TaggedStruct("Idle", {
  /** when it began */
  since: Time
})

/**
 * An attempt is running.
 *
 * @since 0.1.0
 */
export interface Connecting extends Schema.Schema.Type<typeof Connecting> {}
/** @since 0.1.0 */
export const Connecting = Schema.TaggedStruct("Connecting", {
  /** when it began */
  since: Time,
  /** the first attempt after a stable session is 1 */
  attempt: Count,
  /** whether it is the trial of a half-open circuit: calls are rejected until it has succeeded */
  trial: Schema.Boolean,
  /** the last reason for which there is no session; `undefined` where none was lost and no attempt has failed yet */
  reason: Schema.UndefinedOr(FailureReason)
})

/**
 * A session is open and nothing speaks against it.
 *
 * @since 0.1.0
 */
export interface Connected extends Schema.Schema.Type<typeof Connected> {}
/** @since 0.1.0 */
export const Connected = Schema.TaggedStruct("Connected", {
  /** when it began */
  since: Time,
  /** counts the sessions of this backend, from 1 */
  generation: Count
})

/**
 * A session is open and 1 to `failureThreshold - 1` probes in a row have failed; or more, all of them excused by a long call
 * that is in flight (`held`).
 *
 * @since 0.1.0
 */
export interface Unhealthy extends Schema.Schema.Type<typeof Unhealthy> {}
/** @since 0.1.0 */
export const Unhealthy = Schema.TaggedStruct("Unhealthy", {
  /** when it began */
  since: Time,
  /** as of `Connected` */
  generation: Count,
  /** counted up to `failureThreshold - 1`, 1 at least */
  failures: Count,
  /** why the last of those probes failed */
  reason: FailureReason,
  /**
   * whether only a call in flight keeps the session from being given up: a server that works on it may not answer probes. No
   * new call is admitted until the server has answered, or the session was replaced.
   */
  held: Schema.Boolean
})

/**
 * No session; the next attempt is due.
 *
 * @since 0.1.0
 */
export interface Disconnected extends Schema.Schema.Type<typeof Disconnected> {}
/** @since 0.1.0 */
export const Disconnected = Schema.TaggedStruct("Disconnected", {
  /** when it began */
  since: Time,
  /** when the next attempt is due; `undefined` where none is planned, or the schedule has not said it yet */
  nextAttemptAt: Schema.UndefinedOr(Time),
  /** failed attempts in a row */
  attempt: Count,
  /** why there is no session */
  reason: FailureReason
})

/**
 * Known bad: calls fail at once; a trial attempt is due.
 *
 * @since 0.1.0
 */
export interface CircuitOpen extends Schema.Schema.Type<typeof CircuitOpen> {}
/** @since 0.1.0 */
export const CircuitOpen = Schema.TaggedStruct("CircuitOpen", {
  /** when it began */
  since: Time,
  /** when the next attempt is due; `undefined` where none is planned, or the schedule has not said it yet */
  nextAttemptAt: Schema.UndefinedOr(Time),
  /** how often the circuit has opened since the backend was last stable */
  openings: Count,
  /** why there is no session */
  reason: FailureReason
})

/**
 * The credentials were rejected. Not an outage: retried on the circuit's schedule, by `reconnect` and by `reset`.
 *
 * @since 0.1.0
 */
export interface NeedsAuth extends Schema.Schema.Type<typeof NeedsAuth> {}
/** @since 0.1.0 */
export const NeedsAuth = Schema.TaggedStruct("NeedsAuth", {
  /** when it began */
  since: Time,
  /** when the next attempt is due; `undefined` where none is planned, or the schedule has not said it yet */
  nextAttemptAt: Schema.UndefinedOr(Time)
})

/**
 * An operator closed the backend; left only by `reset`.
 *
 * @since 0.1.0
 */
export interface Isolated extends Schema.Schema.Type<typeof Isolated> {}
/** @since 0.1.0 */
export const Isolated = Schema.TaggedStruct("Isolated", {
  /** when it began */
  since: Time
})

/**
 * The scope of the backend has ended.
 *
 * @since 0.1.0
 */
export interface Closed extends Schema.Schema.Type<typeof Closed> {}
/** @since 0.1.0 */
export const Closed = Schema.TaggedStruct("Closed", {
  /** when it began */
  since: Time
})

/**
 * States, as they are checked, decoded and encoded; with `match`, `guards` and `cases` by their names.
 *
 * @since 0.1.0
 */
export const ConnectionState = Schema.Union([
  Idle,
  Connecting,
  Connected,
  Unhealthy,
  Disconnected,
  CircuitOpen,
  NeedsAuth,
  Isolated,
  Closed
]).pipe(Schema.toTaggedUnion("_tag"))

/**
 * Whether it is a state.
 *
 * @since 0.1.0
 */
export const is = Schema.is(ConnectionState)

/**
 * States as JSON: what is `undefined` is `null` there.
 *
 * @since 0.1.0
 */
export const Json = Schema.toCodecJson(ConnectionState)

/**
 * The name of a state.
 *
 * @since 0.1.0
 */
export type Tag = ConnectionState["_tag"]

/**
 * A state without its times, as the transition table decides it.
 *
 * @since 0.1.0
 */
export type Untimed = ConnectionState extends infer State
  ? State extends ConnectionState
    ? Omit<State, "since" | "nextAttemptAt">
    : never
  : never

// --------------------------------------------------------------------------------------------------------- combinators

/**
 * The state alone, without its times: so two of them can be compared.
 *
 * @since 0.1.0
 */
export const untimed = (state: ConnectionState): Untimed => {
  const { since: _, ...rest } = state
  if (!("nextAttemptAt" in rest)) return rest
  const { nextAttemptAt: __, ...alone } = rest
  return alone
}

/**
 * The circuit breaker's own state, in the words of resilience4j and Envoy, derived and never stored.
 *
 * @since 0.1.0
 */
export const circuit = (state: Untimed): "closed" | "open" | "half-open" =>
  state._tag === "CircuitOpen" ? "open" : state._tag === "Connecting" && state.trial ? "half-open" : "closed"

/**
 * What a call meets: it runs on the open session, waits for one, or is rejected at once.
 *
 * @since 0.1.0
 */
export const admission = (state: Untimed): "run" | "wait" | "reject" => {
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

/**
 * The last reason for which the backend is not well, if it is not.
 *
 * @since 0.1.0
 */
export const reasonOf = (state: Untimed): FailureReason | undefined => {
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
