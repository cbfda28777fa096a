/**
 * What the transition table asks for: the only thing that the supervisor does. No delay is in an action, only the name
 * of the schedule that knows it.
 */
import type * as Duration from "effect/Duration"
import type { FailureReason } from "../FailureReason.ts"
import type { Untimed } from "../ConnectionState.ts"
import type { Happening } from "../KeepaliveEvent.ts"
import type { Timer } from "./Signal.ts"

/**
 * What a timer can be armed with: the four schedules, and single delays that the policy or the server names.
 *
 * @since 0.1.0
 */
export type ScheduleName =
  | "cadence"
  | "confirm"
  | "backoff"
  | "openFor"
  | "stableAfter"
  | "idleAfter"
  | "maxLifetime"
  | "confirmInterval"
  | "retryAfter"

/**
 * What the table tells: as in events, but for the times of states.
 *
 * @since 0.1.0
 */
export type Telling =
  | Exclude<Happening, { readonly _tag: "Started" | "StateChanged" }>
  | { readonly _tag: "Started"; readonly state: Untimed }
  | { readonly _tag: "StateChanged"; readonly from: Untimed; readonly to: Untimed }

/**
 * What is to be done. In the order of the list.
 *
 * @since 0.1.0
 */
export type Action =
  /** start an attempt or a probe, in place of the one that runs */
  | {
      readonly _tag: "Run"
      readonly run: number
      readonly kind: "attempt" | "probe" | "deepProbe"
      /** an attempt that must pass the deep probe */
      readonly deep: boolean
      /** read the credentials again first */
      readonly refresh: boolean
      /** whether it is keepalive: with `none`, the probe that decides a doubt is not counted as one */
      readonly counted: boolean
    }
  /** interrupt the attempt or probe that runs */
  | { readonly _tag: "Stop" }
  | {
      readonly _tag: "Arm"
      readonly timer: Timer
      readonly schedule: ScheduleName
      /** where the delay begins: now, or when a request of ours was last answered, or when a call was last in flight */
      readonly from: "now" | "answer" | "call"
      /** what the server asked for with Retry-After: the delay is at least that, up to the cap of the backoff */
      readonly notBefore: Duration.Duration | undefined
      /** whether an attempt that is armed already stays where it is due before this one would be */
      readonly sooner: boolean
    }
  | { readonly _tag: "Disarm"; readonly timer: Timer }
  | { readonly _tag: "Reset"; readonly schedule: ScheduleName }
  /** make the session of the attempt that succeeded the current one */
  | { readonly _tag: "Adopt"; readonly generation: number }
  /** let go of a session; its timers, but for a successor's, end with it */
  | {
      readonly _tag: "Drop"
      readonly generation: number
      /** the time of the policy within which its calls may still end by themselves; `undefined`: they end now */
      readonly drain: "drainTimeout" | "timeout" | undefined
      readonly reason: FailureReason
    }
  /** let go at once of every session that still drains */
  | { readonly _tag: "DropDraining" }
  /** calls that wait for a session, or for a doubt to be decided, look at the state again */
  | { readonly _tag: "Settle"; readonly who: "waiters" | "doubters" }
  | { readonly _tag: "Emit"; readonly happening: Telling }
