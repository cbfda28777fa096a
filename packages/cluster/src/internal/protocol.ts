/**
 * What processes ask of each other: one entity of the engine for each backend, whose id is the backend's. Nothing of it is ever stored.
 */
import {
  BackendError,
  type Changes as Changed,
  ConnectionState,
  KeepaliveEvent,
  Lists as Listing,
  Operable
} from "@vmcp-keepalive/core"
import * as Schema from "effect/Schema"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { StorageUnavailable } from "../ClusterError.ts"

/** Refused by a process that does not keep the backend, or is not certain of its lease. Nothing was executed. */
export class NotKept extends Schema.TaggedError<NotKept>()("NotKept", {}) {}

export const State = Rpc.make("State", {
  success: Schema.Struct({ owner: Schema.String, state: ConnectionState.ConnectionState }),
  error: NotKept
})

/** Each does the same if it is given twice: it may be given again to the next owner. */
export const Command = Rpc.make("Command", {
  payload: { command: Operable.Command },
  success: ConnectionState.ConnectionState,
  error: Schema.Union([NotKept, BackendError.SessionUnavailable, BackendError.CallRejected, StorageUnavailable])
})

/**
 * What has no end of its own ends as soon as its owner hands the backend over: as a call under way it would be waited for, and the next owner with it, as
 * long as `drain` allows.
 */
const isEndless = ClusterSchema.InterruptOnTermination

export const Changes = Rpc.make("Changes", {
  success: ConnectionState.ConnectionState,
  error: NotKept,
  stream: true
}).annotate(isEndless, true)

/** What an owner tells: first how the backend stands, then what happens. */
export type Told = typeof Told.Type
const Told = Schema.Union([
  Schema.TaggedStruct("Began", { state: ConnectionState.ConnectionState }),
  Schema.TaggedStruct("Happened", { event: KeepaliveEvent.KeepaliveEvent })
])

export const Events = Rpc.make("Events", { success: Told, error: NotKept, stream: true }).annotate(isEndless, true)

/** What a server answered, as JSON: also an error is an answer, and is handed on as it came. */
export type Answer = typeof Answer.Type
const Answer = Schema.TaggedStruct("Answer", {
  isError: Schema.Boolean,
  json: Schema.String,
  /** the number of the last notification that the server sent its caller before it */
  told: Schema.Number
})

/** One raw message of a call, its parameters as JSON. Never sent a second time once a byte of it was written. */
export const Call = Rpc.make("Call", {
  payload: {
    kind: Schema.Literals(["request", "notification"]),
    method: Schema.String,
    params: Schema.UndefinedOr(Schema.String),
    idempotent: Schema.Boolean,
    caller: Schema.String,
    label: Schema.Number,
    pin: Schema.UndefinedOr(Schema.Struct({ id: Schema.String, generation: Schema.Number }))
  },
  success: Answer,
  error: Schema.Union([NotKept, BackendError.CallError, BackendError.SessionReplaced])
})

/** A session with the server, by a name that no other has: what the server said of itself, as JSON. */
export type Session = typeof SessionStruct.Type
const SessionStruct = Schema.Struct({
  key: Schema.String,
  server: Schema.String,
  era: Schema.Literals(["legacy", "modern"])
})

/** Waits for a session as a call does, and tells which it is. */
export const Meet = Rpc.make("Meet", {
  success: SessionStruct,
  error: Schema.Union([NotKept, BackendError.CallError])
})

/** What a process hears that is attached to a backend: first which session there is, then what the server says in it and in those that follow. */
export type Heard = typeof Heard.Type
const Heard = Schema.Union([
  Schema.TaggedStruct("Attached", { session: Schema.UndefinedOr(SessionStruct) }),
  Schema.TaggedStruct("Began", { session: SessionStruct }),
  Schema.TaggedStruct("Over", { key: Schema.String }),
  Schema.TaggedStruct("Notified", {
    /** counts up */
    n: Schema.Number,
    key: Schema.String,
    json: Schema.String,
    /** the request of the caller's to which it belongs, where it belongs to one */
    label: Schema.UndefinedOr(Schema.Number),
    /** whether it says that a list or a resource has changed */
    isChange: Schema.Boolean
  })
])

export const Attach = Rpc.make("Attach", {
  payload: { caller: Schema.String },
  success: Heard,
  error: NotKept,
  stream: true
}).annotate(isEndless, true)

/** Holds a session until it is interrupted. */
export const Pin = Rpc.make("Pin", {
  payload: { pin: Schema.String },
  success: Schema.Struct({ pin: Schema.String, generation: Schema.Number }),
  error: Schema.Union([NotKept, BackendError.SessionUnavailable, BackendError.CallRejected]),
  stream: true
})

const Entries = Schema.Array(
  Schema.Struct({ name: Schema.String, fingerprint: Schema.Number, removed: Schema.Boolean })
)

/** What is known of the server's lists. */
export const Lists = Rpc.make("Lists", {
  success: Schema.Struct({ tools: Entries, prompts: Entries, resources: Entries }),
  error: NotKept
})

/** Waits, without a bound, until there is a session. */
export const Connected = Rpc.make("Connected", {
  error: Schema.Union([NotKept, BackendError.CallRejected])
}).annotate(isEndless, true)

const isHeard = Schema.optional(Schema.Boolean)
const Filter: Schema.Codec<Changed.Filter> = Schema.Struct({
  tools: isHeard,
  prompts: isHeard,
  resources: isHeard,
  uris: Schema.optional(Schema.Array(Schema.String))
})
const Change: Schema.Codec<Changed.Change> = Schema.Union([
  Schema.TaggedStruct("List", { kind: Listing.Kind }),
  Schema.TaggedStruct("Resource", { uri: Schema.String })
])

export const Listen = Rpc.make("Listen", {
  payload: { filter: Filter, initially: Schema.Boolean },
  success: Change,
  error: NotKept,
  stream: true
}).annotate(isEndless, true)

/** Makes the entity, and so the backend: it is to be kept also where nobody asks for it. */
export const Ensure = Rpc.make("Ensure")

export const BackendEntity = Entity.make("Backend", [
  State,
  Command,
  Changes,
  Events,
  Call,
  Meet,
  Attach,
  Pin,
  Lists,
  Connected,
  Listen,
  Ensure
])
  // What is asked belongs to the span of whoever asks: one of its own for the way says nothing more, and is made for each call.
  .annotate(ClusterSchema.ClientTracingEnabled, false)
