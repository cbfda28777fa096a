/**
 * One thing learned about a backend: the only input of the transition table.
 */
import type * as Duration from "effect/Duration"
import type { Doubt } from "../Evidence.ts"
import type { FailureReason } from "../FailureReason.ts"
import type * as Operable from "../Operable.ts"
import type { Attention } from "./Probe.ts"

/**
 * What can come due.
 *
 * @since 0.1.0
 */
export type Timer =
  /** the next probe */
  | "probe"
  /** the next attempt */
  | "attempt"
  /** `stableAfter` since the session opened */
  | "stable"
  /** `idleAfter` since the last call */
  | "idle"
  /** `maxLifetime` since the session opened */
  | "lifetime"
  /** the deep probe may be asked again */
  | "deep"

/**
 * What an operator can ask for.
 *
 * @since 0.1.0
 */
export type Command = Operable.Command

/**
 * What is learned. Signals of a run or a generation that is no longer current change nothing.
 *
 * @since 0.1.0
 */
export type Signal =
  | {
      readonly _tag: "Succeeded"
      readonly run: number
      /** when the session that was opened, or asked, is to be probed while it is healthy */
      readonly attention: Attention
    }
  | {
      readonly _tag: "Failed"
      readonly run: number
      readonly reason: FailureReason
      /** whether a call that began before the first miss is still in flight */
      readonly callInFlight: boolean
      /**
       * how long ago the last byte of such a call's own answer came, or the call began; where answers share one stream, the last
       * byte of the session
       */
      readonly silentFor: Duration.Duration
      /** how long ago the first of the probes began that were missed in a row */
      readonly missedFor: Duration.Duration
      /** whether this process itself was late by more than the time that ran out, so that the failure proves nothing about the server */
      readonly late: boolean
      /** whether an older session still lets its calls end */
      readonly draining: boolean
    }
  | { readonly _tag: "Busy"; readonly run: number; readonly retryAfter: Duration.Duration | undefined }
  | { readonly _tag: "AuthRejected"; readonly run: number }
  | {
      readonly _tag: "Due"
      readonly timer: Timer
      /** whether something happened since the timer was armed that makes it needless: an answer, or a call */
      readonly used: boolean
      /** what runs on the session: no call, calls none of which waits for an answer of the server, or one that does */
      readonly calls: "none" | "idle" | "waiting"
    }
  | { readonly _tag: "Doubt"; readonly generation: number; readonly doubt: Doubt; readonly reason: FailureReason }
  | { readonly _tag: "Lost"; readonly generation: number; readonly reason: FailureReason }
  /** a call waits for a session, or has begun on the one that is open */
  | { readonly _tag: "CallStarted" }
  | { readonly _tag: "CallAnswered"; readonly generation: number }
  | { readonly _tag: "Operator"; readonly command: Command }
  | {
      /** the backend goes on with another connector, or another policy, or both */
      readonly _tag: "Reconfigured"
      readonly connection: boolean
      readonly policy: boolean
      /** when the session that is open, if one is, is to be probed while it is healthy */
      readonly attention: Attention
    }
  | { readonly _tag: "Jumped" }
  | { readonly _tag: "Closed" }
