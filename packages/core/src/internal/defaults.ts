/**
 * Defaults of a policy that stand in more than one place.
 */
import * as Duration from "effect/Duration"
import type { Exponential } from "../KeepalivePolicy.ts"

/** How many failed attempts in a row open the circuit unless the policy says otherwise. */
export const defaultCircuitFailures = 5
/** The backoff that a policy has unless it names one. */
export const defaultBackoff: Exponential = { initial: Duration.seconds(1), factor: 2, cap: Duration.seconds(300) }
/** How long a circuit opens unless the policy says otherwise. */
export const defaultOpenFor: Exponential = { initial: Duration.seconds(30), factor: 2, cap: Duration.minutes(5) }

/** The time between two probes of a healthy session that a policy has unless it names one. */
export const defaultInterval = Duration.seconds(300)

/** How many calls of a backend may wait for their turn unless the policy says otherwise. */
export const defaultQueue = 1000
/** How many calls may be run again unless the policy says otherwise: Finagle's share and window. */
export const defaultReplayBudget = { ratio: 0.2, window: Duration.seconds(10) }
