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
  failed: Schema.Number
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

/** What `/api/status` answers. */
export const Status = Schema.Struct({
  at: Schema.Number,
  total: Schema.Number,
  /** how many of them need attention */
  attention: Schema.Number,
  backends: Schema.Array(Row)
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
