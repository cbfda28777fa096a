/**
 * What the transition table knows: the state of a backend, and what it must remember beside it.
 */
import type * as Duration from "effect/Duration"
import type { Action } from "./Action.ts"
import type { Untimed } from "../ConnectionState.ts"
import type { Doubt } from "../Evidence.ts"
import type { Attention } from "./Probe.ts"

/**
 * The part of a policy that decides what happens, as opposed to when.
 *
 * @since 0.1.0
 */
export interface Rules {
  /** failed probes in a row that end a session */
  readonly failureThreshold: number
  /** failed attempts in a row that open the circuit; infinite without a circuit */
  readonly circuitFailures: number
  /** busy answers to attempts in a row from which on each is a failed attempt */
  readonly busyAttempts: number
  readonly inFlightGrace: Duration.Duration
  readonly connect: "eager" | "lazy"
  /** when a stable session that was lost is attempted anew */
  readonly reattempt: "immediate" | "backoff"
  readonly sleepsWhenIdle: boolean
  /** whether a session is replaced when it has lived for `maxLifetime` */
  readonly expires: boolean
  /** whether a second session at once is impossible */
  readonly exclusive: boolean
}

/**
 * The state, and what the table must remember beside it.
 *
 * @since 0.1.0
 */
export interface Model {
  readonly state: Untimed
  /** the one attempt or probe that is running */
  readonly running: Running | undefined
  /** how many were started so far */
  readonly runs: number
  /** how many sessions were opened so far */
  readonly generation: number
  /** failed attempts in a row, sessions lost before they were stable included */
  readonly failures: number
  /** busy answers to attempts in a row, up to `busyAttempts`, from which on each of them counts as a failed attempt */
  readonly busies: number
  /** how often the circuit has opened; above zero, every attempt is a trial */
  readonly openings: number
  /** whether the session is stable: `due` when it has lived long enough and only an answer is missing */
  readonly stable: "no" | "due" | "yes"
  /** when the session is probed while it is healthy; `atRest`: where that is `inUse`, and no call was running when it was looked at last */
  readonly attention: Attention | "atRest"
  /** whether only the deep probe is evidence: latched across generations until it passes */
  readonly deep: boolean
  /** whether the deep probe was asked less than a `confirmInterval` ago */
  readonly resting: boolean
  /** whether the deep probe is wanted */
  readonly upstream: boolean
  /** what the next probe has to decide */
  readonly doubt: Exclude<Doubt, "upstream"> | undefined
  /** whether credentials were read again since they last sufficed */
  readonly refreshed: boolean
  /** whether the session serves only until another can be opened in its place */
  readonly outdated: boolean
}

/**
 * An attempt or a probe under way.
 *
 * @since 0.1.0
 */
export interface Running {
  readonly run: number
  readonly kind: "attempt" | "probe" | "deepProbe"
  /** the doubt that its answer decides: the probe began after the doubt arose */
  readonly decides: Exclude<Doubt, "upstream"> | undefined
  /** whether the clock jumped meanwhile, so that its failure proves nothing */
  readonly jumped: boolean
}

/**
 * What a signal leads to.
 *
 * @since 0.1.0
 */
export interface Step {
  readonly model: Model
  readonly actions: ReadonlyArray<Action>
}
