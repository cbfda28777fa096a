/**
 * What the page and `/api/status` are told, as JSON: everything in it is a number, an id, a name of a list, or words of this project's
 * own. Times are of the gateway's wall clock, in milliseconds since 1970.
 */
import { ConnectionState, Operable } from "@vmcp-keepalive/core"
import * as Schema from "effect/Schema"

/** How bad it is: `off` is neither good nor bad. */
export const Tone = Schema.Literals(["ok", "warn", "bad", "off"])
export type Tone = typeof Tone.Type

/** From when on it was so; until the next one. */
export const Segment = Schema.Struct({ at: Schema.Number, state: Schema.Literals(tagsOf()) })
export type Segment = typeof Segment.Type

/** Something of the outside that happened to it, such as a fault that a test injects. */
export const Mark = Schema.Struct({ at: Schema.Number, label: Schema.String })
export type Mark = typeof Mark.Type

/** What to do now, in words; and the command that does it, where one does. */
export const Action = Schema.Struct({ text: Schema.String, command: Schema.NullOr(Operable.Command) })
export type Action = typeof Action.Type

/** One backend, as it stands. */
export const Row = Schema.Struct({
  id: Schema.String,
  /** how it is reached: `http`, `stdio` */
  kind: Schema.String,
  state: Schema.Literals(tagsOf()),
  /** the state in words */
  word: Schema.String,
  tone: Tone,
  /** whether somebody should look at it */
  attention: Schema.Boolean,
  /** whether the policy says that the gateway is not ready without it */
  required: Schema.Boolean,
  /** when the state began */
  since: Schema.Number,
  /** why it is so, in one line; empty where nothing is wrong */
  why: Schema.String,
  action: Schema.NullOr(Action),
  /** what an operator may order now */
  commands: Schema.Array(Operable.Command),
  /** when the next attempt is due */
  nextAttemptAt: Schema.NullOr(Schema.Number),
  /** median of its last probes, in milliseconds */
  latency: Schema.NullOr(Schema.Number),
  /** its states in the last five minutes, oldest first */
  strip: Schema.Array(Segment),
  marks: Schema.Array(Mark),
  /** how many tools it lists, as far as is known */
  tools: Schema.Number,
  /** calls under way */
  inFlight: Schema.Number,
  /** calls that ended in the last five minutes */
  calls: Schema.Number,
  /** those of them that did not end well */
  failed: Schema.Number,
  /** in a cluster, the address of the process that keeps it; null while none does */
  owner: Schema.optionalKey(Schema.NullOr(Schema.String))
})
export type Row = typeof Row.Type

/** One line of what happened. */
export const Entry = Schema.Struct({
  /** counts the lines of this gateway */
  seq: Schema.Number,
  at: Schema.Number,
  backend: Schema.String,
  text: Schema.String,
  tone: Tone,
  /** whether it is worth to be read out */
  important: Schema.Boolean
})
export type Entry = typeof Entry.Type

/** A process of a cluster. */
export const Process = Schema.Struct({
  /** its name in the cluster */
  address: Schema.String,
  /** whether it is the one that tells this */
  here: Schema.Boolean,
  /** whether it answered when the others asked it last */
  healthy: Schema.Boolean,
  /** how many of the backends it keeps */
  backends: Schema.Number,
  /** for how many milliseconds it keeps them yet without another word of its own to the database */
  lease: Schema.NullOr(Schema.Number)
})
export type Process = typeof Process.Type

/** The processes that share the backends, as the database had it last. */
export const Cluster = Schema.Struct({
  processes: Schema.Array(Process),
  /** for how many milliseconds the process that tells this is certain that nobody else keeps what it does; null where it keeps nothing */
  margin: Schema.NullOr(Schema.Number),
  /** since when the database does not answer; null while it does */
  silentSince: Schema.NullOr(Schema.Number)
})
export type Cluster = typeof Cluster.Type

/** What `/api/status` answers. */
export const Status = Schema.Struct({
  at: Schema.Number,
  total: Schema.Number,
  /** how many of them need attention */
  attention: Schema.Number,
  backends: Schema.Array(Row),
  /** where the gateway is one of several */
  cluster: Schema.optionalKey(Cluster)
})
export type Status = typeof Status.Type

function tagsOf(): ReadonlyArray<ConnectionState.Tag> {
  return [
    "Idle",
    "Connecting",
    "Connected",
    "Unhealthy",
    "Disconnected",
    "CircuitOpen",
    "NeedsAuth",
    "Isolated",
    "Closed"
  ]
}
