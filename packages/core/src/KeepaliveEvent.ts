/**
 * What happened to a backend: what metrics, logs and users read.
 *
 * Events hold ids, numbers and words of this library's own; of what callers write, only the method of a call's requests
 * (`CallSettled`), and of what servers write, only the names of what they list (`ListChanged`), which of resources are URIs without their query. No URL, header, session id, tool argument or text of an error is in one. Observers get every event
 * synchronously; `Backend.events` offers them as a stream.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { ConnectionState } from "./ConnectionState.ts"
import { FailureReason } from "./FailureReason.ts"
import * as Observers from "./internal/observers.ts"
import { Count, Span, Time } from "./internal/schemas.ts"
import { Kind } from "./Lists.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What happened to a backend, and when.
 *
 * @since 0.1.0
 */
export type KeepaliveEvent =
  | Started
  | Reconfigured
  | StateChanged
  | AttemptScheduled
  | AttemptSucceeded
  | AttemptFailed
  | ProbeSent
  | ProbeSucceeded
  | ProbeFailed
  | ProbeSuppressed
  | CircuitOpened
  | Stabilized
  | SessionExpired
  | SessionDraining
  | SessionClosed
  | CallStarted
  | CallQueued
  | CallDequeued
  | ReplayDenied
  | CallSettled
  | ListChanged
  | Noticed

/**
 * An event without its stamps.
 *
 * @since 0.1.0
 */
export type Happening = KeepaliveEvent extends infer Event
  ? Event extends KeepaliveEvent
    ? Omit<Event, keyof typeof stamps>
    : never
  : never

const stamps = {
  /** the id of the backend */
  backend: Schema.String,
  /** when: wall clock, in milliseconds since 1970 */
  at: Time
}

const Detail = Schema.UndefinedOr(Schema.String)

/**
 * The backend was made; its first event.
 *
 * @since 0.1.0
 */
export interface Started extends Schema.Schema.Type<typeof Started> {
  /** in which it begins */
  readonly state: ConnectionState
}
/** @since 0.1.0 */
export const Started = Schema.TaggedStruct("Started", {
  ...stamps,
  state: ConnectionState,
  /** whether the policy says that it is required */
  required: Schema.Boolean
})

/**
 * The backend goes on with another connector, or another policy, or both.
 *
 * @since 0.1.0
 */
export interface Reconfigured extends Schema.Schema.Type<typeof Reconfigured> {}
/** @since 0.1.0 */
export const Reconfigured = Schema.TaggedStruct("Reconfigured", {
  ...stamps,
  /** whether it is reached in another way: its session is replaced */
  connection: Schema.Boolean,
  /** whether another policy holds */
  policy: Schema.Boolean,
  /** whether that policy says that it is required */
  required: Schema.Boolean
})

/**
 * The backend left one state for another, which may have the same name: `Unhealthy` counts.
 *
 * @since 0.1.0
 */
export interface StateChanged extends Schema.Schema.Type<typeof StateChanged> {
  readonly from: ConnectionState
  readonly to: ConnectionState
}
/** @since 0.1.0 */
export const StateChanged = Schema.TaggedStruct("StateChanged", {
  ...stamps,
  from: ConnectionState,
  to: ConnectionState
})

/**
 * The next attempt was scheduled; told before the change to the state in which it is waited for.
 *
 * @since 0.1.0
 */
export interface AttemptScheduled extends Schema.Schema.Type<typeof AttemptScheduled> {}
/** @since 0.1.0 */
export const AttemptScheduled = Schema.TaggedStruct("AttemptScheduled", {
  ...stamps,
  /** until the next attempt */
  delay: Span
})

/**
 * An attempt has opened a session.
 *
 * @since 0.1.0
 */
export interface AttemptSucceeded extends Schema.Schema.Type<typeof AttemptSucceeded> {}
/** @since 0.1.0 */
export const AttemptSucceeded = Schema.TaggedStruct("AttemptSucceeded", {
  ...stamps,
  /** counts the sessions of the backend, from 1 */
  generation: Count,
  /** of the attempt */
  duration: Span
})

/**
 * An attempt has failed.
 *
 * @since 0.1.0
 */
export interface AttemptFailed extends Schema.Schema.Type<typeof AttemptFailed> {}
/** @since 0.1.0 */
export const AttemptFailed = Schema.TaggedStruct("AttemptFailed", {
  ...stamps,
  reason: FailureReason,
  /** what was seen, in words of this library's own, such as `HTTP 503`, `ECONNREFUSED on connect`, `exit code 1` */
  detail: Detail,
  /** of the attempt */
  duration: Span
})

/**
 * A probe was sent.
 *
 * @since 0.1.0
 */
export interface ProbeSent extends Schema.Schema.Type<typeof ProbeSent> {}
/** @since 0.1.0 */
export const ProbeSent = Schema.TaggedStruct("ProbeSent", {
  ...stamps,
  /** how it asks */
  method: Schema.String
})

/**
 * A probe was answered.
 *
 * @since 0.1.0
 */
export interface ProbeSucceeded extends Schema.Schema.Type<typeof ProbeSucceeded> {}
/** @since 0.1.0 */
export const ProbeSucceeded = Schema.TaggedStruct("ProbeSucceeded", {
  ...stamps,
  /** how it asked */
  method: Schema.String,
  /** until the answer */
  latency: Span
})

/**
 * A probe was not answered as it should be.
 *
 * @since 0.1.0
 */
export interface ProbeFailed extends Schema.Schema.Type<typeof ProbeFailed> {}
/** @since 0.1.0 */
export const ProbeFailed = Schema.TaggedStruct("ProbeFailed", {
  ...stamps,
  /** how it asked */
  method: Schema.String,
  reason: FailureReason,
  /** as of a failed attempt */
  detail: Detail
})

/**
 * Traffic made a probe needless.
 *
 * @since 0.1.0
 */
export interface ProbeSuppressed extends Schema.Schema.Type<typeof ProbeSuppressed> {}
/** @since 0.1.0 */
export const ProbeSuppressed = Schema.TaggedStruct("ProbeSuppressed", stamps)

/**
 * The circuit opened: calls are rejected.
 *
 * @since 0.1.0
 */
export interface CircuitOpened extends Schema.Schema.Type<typeof CircuitOpened> {}
/** @since 0.1.0 */
export const CircuitOpened = Schema.TaggedStruct("CircuitOpened", {
  ...stamps,
  /** how often it has opened since the backend was last stable */
  openings: Count,
  reason: FailureReason
})

/**
 * The backend was stable for long enough: backoff and circuit start afresh.
 *
 * @since 0.1.0
 */
export interface Stabilized extends Schema.Schema.Type<typeof Stabilized> {}
/** @since 0.1.0 */
export const Stabilized = Schema.TaggedStruct("Stabilized", stamps)

/**
 * The session has lived for `maxLifetime`: it serves until another has taken its place, which is tried now, and by `backoff` for as
 * long as that fails.
 *
 * @since 0.1.0
 */
export interface SessionExpired extends Schema.Schema.Type<typeof SessionExpired> {}
/** @since 0.1.0 */
export const SessionExpired = Schema.TaggedStruct("SessionExpired", {
  ...stamps,
  generation: Count
})

/**
 * The session takes no further calls; those under way may still end by themselves, before it is closed.
 *
 * @since 0.1.0
 */
export interface SessionDraining extends Schema.Schema.Type<typeof SessionDraining> {}
/** @since 0.1.0 */
export const SessionDraining = Schema.TaggedStruct("SessionDraining", {
  ...stamps,
  generation: Count,
  reason: FailureReason
})

/**
 * The session is over.
 *
 * @since 0.1.0
 */
export interface SessionClosed extends Schema.Schema.Type<typeof SessionClosed> {}
/** @since 0.1.0 */
export const SessionClosed = Schema.TaggedStruct("SessionClosed", {
  ...stamps,
  generation: Count,
  reason: FailureReason,
  /** as of a failed attempt */
  detail: Detail
})

/**
 * A call began: it runs, waits for a session or is rejected. Exactly one `CallSettled` follows.
 *
 * @since 0.1.0
 */
export interface CallStarted extends Schema.Schema.Type<typeof CallStarted> {}
/** @since 0.1.0 */
export const CallStarted = Schema.TaggedStruct("CallStarted", stamps)

/**
 * A call waits for its turn, since as many run as may. Exactly one `CallDequeued` follows.
 *
 * @since 0.1.0
 */
export interface CallQueued extends Schema.Schema.Type<typeof CallQueued> {}
/** @since 0.1.0 */
export const CallQueued = Schema.TaggedStruct("CallQueued", stamps)

/**
 * A call waits for its turn no longer: it has come, or its session is gone, or its caller interrupted it.
 *
 * @since 0.1.0
 */
export interface CallDequeued extends Schema.Schema.Type<typeof CallDequeued> {}
/** @since 0.1.0 */
export const CallDequeued = Schema.TaggedStruct("CallDequeued", stamps)

/**
 * A call that could have been run again was not, since `replayBudget` was used up: its caller is told what became of it.
 *
 * @since 0.1.0
 */
export interface ReplayDenied extends Schema.Schema.Type<typeof ReplayDenied> {}
/** @since 0.1.0 */
export const ReplayDenied = Schema.TaggedStruct("ReplayDenied", stamps)

/**
 * A call ended, and its caller is told.
 *
 * @since 0.1.0
 */
export interface CallSettled extends Schema.Schema.Type<typeof CallSettled> {}

/**
 * How a call ended.
 *
 * - `ok`: with the callback's value
 * - `failed`: with `CallFailed`, or its caller interrupted it
 * - `rejected`: with `SessionUnavailable`, `CallRejected` or `SessionReplaced`; nothing was executed
 * - `outcome_unknown`: with `OutcomeUnknown`
 *
 * @since 0.1.0
 */
export type CallOutcome = typeof CallOutcome.Type
/** @since 0.1.0 */
export const CallOutcome = Schema.Literals(["ok", "failed", "rejected", "outcome_unknown"])

/** @since 0.1.0 */
export const CallSettled = Schema.TaggedStruct("CallSettled", {
  ...stamps,
  outcome: CallOutcome,
  /** of the error with which it ended, where that has one */
  reason: Schema.UndefinedOr(FailureReason),
  /** whether its callback had to be run again on the way */
  replayed: Schema.Boolean,
  /** of its requests, in its last run; `undefined` where it made none, or some by other methods than the first */
  method: Schema.UndefinedOr(Schema.String),
  /** from its beginning to its end, what it waited for included */
  duration: Span
})

/**
 * What the server lists differs from what was told of it before. No difference is told twice: whoever begins with no entries, and adds
 * and removes what these events say, has what `Backend.lists` has. So the first list that is read is one event as well.
 *
 * @since 0.1.0
 */
export interface ListChanged extends Schema.Schema.Type<typeof ListChanged> {}
/** @since 0.1.0 */
export const ListChanged = Schema.TaggedStruct("ListChanged", {
  ...stamps,
  kind: Kind,
  /** names of entries that came, as `Lists.Entry` has them; each of the three is sorted */
  added: Schema.Array(Schema.String),
  /** names of those that went, and did not come back within the policy's `removalGrace` */
  removed: Schema.Array(Schema.String),
  /** names of those of which the definition is another one */
  changed: Schema.Array(Schema.String)
})

/**
 * What a transport wants to be seen.
 *
 * - `stream_lost`: the standing stream of notifications broke and is being opened again
 * - `stream_restored`: the standing stream of notifications is open again
 * - `answer_resumed`: an answer stream broke and was resumed where it broke
 * - `garbage`: the server sent what is not a protocol message
 *
 * @since 0.1.0
 */
export type Notice = typeof Notice.Type
/** @since 0.1.0 */
export const Notice = Schema.Literals(["stream_lost", "stream_restored", "answer_resumed", "garbage"])

/**
 * A transport noticed something.
 *
 * @since 0.1.0
 */
export interface Noticed extends Schema.Schema.Type<typeof Noticed> {}
/** @since 0.1.0 */
export const Noticed = Schema.TaggedStruct("Noticed", {
  ...stamps,
  notice: Notice,
  /** how often, since one event may stand for several */
  count: Count
})

/**
 * Events, as they are checked, decoded and encoded; with `match`, `guards` and `cases` by their names.
 *
 * @since 0.1.0
 */
export const KeepaliveEvent = Schema.Union([
  Started,
  Reconfigured,
  StateChanged,
  AttemptScheduled,
  AttemptSucceeded,
  AttemptFailed,
  ProbeSent,
  ProbeSucceeded,
  ProbeFailed,
  ProbeSuppressed,
  CircuitOpened,
  Stabilized,
  SessionExpired,
  SessionDraining,
  SessionClosed,
  CallStarted,
  CallQueued,
  CallDequeued,
  ReplayDenied,
  CallSettled,
  ListChanged,
  Noticed
]).pipe(Schema.toTaggedUnion("_tag"))

/**
 * Whether it is an event.
 *
 * @since 0.1.0
 */
export const is = Schema.is(KeepaliveEvent)

/**
 * Events as JSON: durations are numbers of milliseconds there, and what is `undefined` is `null`.
 *
 * @since 0.1.0
 */
export const Json = Schema.toCodecJson(KeepaliveEvent)

// ---------------------------------------------------------------------------------------------------------- observers

/**
 * Reads every event, synchronously. It must not throw and should be quick: it runs on the way of calls.
 *
 * @since 0.1.0
 */
export type Observer = (event: KeepaliveEvent) => void

const all = Observers.make<Observer>("@vmcp-keepalive/core/Observer/")

/**
 * An observer for every backend made with this layer; an Effect may make it, in the layer's scope. Each layer stands
 * beside all others, however they are put together (`mergeAll`, `provideMerge`, an array), and hides none of them; the
 * same layer provided twice counts once.
 *
 * @since 0.1.0
 */
export const layerObserver: <E = never, R = never>(
  observer: Observer | Effect.Effect<Observer, E, R>
) => Layer.Layer<never, E, Exclude<R, Scope.Scope>> = all.layer

/**
 * The observers of the context, each once; where there are none, events cost nothing.
 *
 * @since 0.1.0
 */
export const observers: Effect.Effect<ReadonlyArray<Observer>> = all.all

/**
 * Makes with that observer in place of those of the context: for backends that are part of something else, which hands on what of their
 * events is worth to be told.
 *
 * @since 0.1.0
 */
export const withObserver =
  (observer: Observer) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateContext(effect, all.only(observer)<R>)
