/**
 * What happened to a backend: what metrics, logs and users read.
 *
 * Events hold ids, numbers and words of this library's own; of what servers write, only the names of tools that came and
 * went (`ToolsChanged`). No URL, header, session id, tool argument or text of an error is in one. Observers get every event
 * synchronously; `Backend.events` offers them as a stream.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
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
  /** `detail`: what was seen, in words of this library's own, such as `HTTP 503`, `ECONNREFUSED on connect`, `exit code 1` */
  | {
      readonly _tag: "AttemptFailed"
      readonly reason: FailureReason
      readonly detail: string | undefined
      readonly duration: Duration.Duration
    }
  /** a probe was sent */
  | { readonly _tag: "ProbeSent"; readonly method: string }
  | { readonly _tag: "ProbeSucceeded"; readonly method: string; readonly latency: Duration.Duration }
  /** `detail`: as of a failed attempt */
  | {
      readonly _tag: "ProbeFailed"
      readonly method: string
      readonly reason: FailureReason
      readonly detail: string | undefined
    }
  /** traffic made a probe needless */
  | { readonly _tag: "ProbeSuppressed" }
  | { readonly _tag: "CircuitOpened"; readonly openings: number; readonly reason: FailureReason }
  /** the backend was stable for long enough: backoff and circuit start afresh */
  | { readonly _tag: "Stabilized" }
  /** the session takes no further calls; those under way may still end by themselves, before it is closed */
  | { readonly _tag: "SessionDraining"; readonly generation: number; readonly reason: FailureReason }
  /** `detail`: as of a failed attempt */
  | {
      readonly _tag: "SessionClosed"
      readonly generation: number
      readonly reason: FailureReason
      readonly detail: string | undefined
    }
  | { readonly _tag: "CallStarted" }
  | {
      readonly _tag: "CallSettled"
      readonly outcome: CallOutcome
      readonly replayed: boolean
      readonly duration: Duration.Duration
    }
  /** the tool list of the new session differs from that of the one before */
  | { readonly _tag: "ToolsChanged"; readonly added: ReadonlyArray<string>; readonly removed: ReadonlyArray<string> }
  /** `count`: how often, since one event may stand for several */
  | { readonly _tag: "Noticed"; readonly notice: Notice; readonly count: number }

export type CallOutcome = "ok" | "failed" | "rejected" | "outcome_unknown" | "interrupted"

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

/**
 * An observer for every backend made with this layer; an Effect may make it, in the layer's scope. Each layer stands
 * beside all others, however they are put together (`mergeAll`, `provideMerge`, an array), and hides none of them; the
 * same layer provided twice counts once.
 */
export const layerObserver = <E = never, R = never>(
  observer: Observer | Effect.Effect<Observer, E, R>
): Layer.Layer<never, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    // One key for all would leave the last of two layers that are built side by side, and the others without a word.
    Context.Service<never, Observer>(`${keyPrefix}${keys.next++}`),
    Effect.isEffect(observer) ? observer : Effect.succeed(observer)
  )

const keyPrefix = "@vmcp-keepalive/core/Observer/"
// one count for all copies of this package that a process may have loaded
const count = Symbol.for(keyPrefix)
const keys: { next: number } = Reflect.get(globalThis, count) ?? { next: 0 }
Reflect.set(globalThis, count, keys)

/** The observers of the context, each once; where there are none, events cost nothing. */
export const observers: Effect.Effect<ReadonlyArray<Observer>> = Effect.map(Effect.context<never>(), (context) => {
  const found = new Set<Observer>()
  for (const [key, value] of context.mapUnsafe) if (key.startsWith(keyPrefix)) found.add(value)
  return [...found]
})
