/**
 * What happened to a backend: what metrics, logs and users read.
 *
 * Events hold ids, numbers and words of this library's own. No URL, header, session id, tool argument or server text is
 * in one. Observers get every event synchronously; `Backend.events` offers them as a stream.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ConnectionState } from "./ConnectionState.ts"
import type { FailureReason } from "./FailureReason.ts"

/** An event, stamped with its backend and the wall-clock time in milliseconds. */
export type KeepaliveEvent = Happening & {
  readonly backend: string
  readonly at: number
}

/** What happened. */
export type Happening =
  /** the backend was made; its first event */
  | { readonly _tag: "Started"; readonly state: ConnectionState }
  | { readonly _tag: "StateChanged"; readonly from: ConnectionState; readonly to: ConnectionState }
  /** `delay` until the next attempt */
  | { readonly _tag: "AttemptScheduled"; readonly delay: Duration.Duration }
  | { readonly _tag: "AttemptSucceeded"; readonly generation: number; readonly duration: Duration.Duration }
  /** `detail`: the transport's own word on it, such as `exit code 1` */
  | {
      readonly _tag: "AttemptFailed"
      readonly reason: FailureReason
      readonly detail: string | undefined
      readonly duration: Duration.Duration
    }
  /** a probe was sent */
  | { readonly _tag: "ProbeSent"; readonly method: string }
  | { readonly _tag: "ProbeSucceeded"; readonly method: string; readonly latency: Duration.Duration }
  | { readonly _tag: "ProbeFailed"; readonly method: string; readonly reason: FailureReason }
  /** traffic made a probe needless */
  | { readonly _tag: "ProbeSuppressed" }
  | { readonly _tag: "CircuitOpened"; readonly openings: number; readonly reason: FailureReason }
  /** the backend was stable for long enough: backoff and circuit start afresh */
  | { readonly _tag: "Stabilized" }
  /** `detail`: as of a failed attempt */
  | {
      readonly _tag: "SessionClosed"
      readonly generation: number
      readonly reason: FailureReason
      readonly detail: string | undefined
    }
  | { readonly _tag: "CallSettled"; readonly outcome: CallOutcome }
  /** the tool list of the new session differs from that of the one before */
  | { readonly _tag: "ToolsChanged"; readonly added: ReadonlyArray<string>; readonly removed: ReadonlyArray<string> }
  /** `count`: how often, since one event may stand for several */
  | { readonly _tag: "Noticed"; readonly notice: Notice; readonly count: number }

/** How a call ended. `replayed`: it succeeded, and had to be run again on the way. */
export type CallOutcome = "ok" | "failed" | "rejected" | "outcome_unknown" | "replayed"

/** What a transport wants to be seen. */
export type Notice =
  /** the standing stream of notifications broke and is being opened again */
  | "stream_lost"
  /** the standing stream of notifications is open again */
  | "stream_restored"
  /** an answer stream broke and was resumed where it broke */
  | "answer_resumed"
  /** the server sent what is not a protocol message */
  | "garbage"

/** Reads every event, synchronously. It must not throw and should be quick: it runs on the way of calls. */
export type Observer = (event: KeepaliveEvent) => void

/** The observers of every backend made in this context; an empty list costs nothing. */
export const Observers: Context.Reference<ReadonlyArray<Observer>> = Context.Reference(
  "@vmcp-keepalive/core/Observers",
  {
    defaultValue: (): ReadonlyArray<Observer> => []
  }
)

/**
 * Appends an observer to those of the context, so that metrics, logs and own code do not overwrite each other. Lay such
 * layers over each other with `Layer.provideMerge`: `Layer.mergeAll` builds them side by side, and only the last remains.
 */
export const layerObserver = (observer: Observer): Layer.Layer<never> =>
  Layer.effect(
    Observers,
    Effect.map(Effect.service(Observers), (observers) => [...observers, observer])
  )
