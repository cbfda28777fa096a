/**
 * Every metric of this package: name, meaning, unit.
 *
 * The unit is no attribute in Effect's registry, where it would become a label of every series. Exporters look it up here.
 */

export interface Entry {
  readonly kind: "counter" | "gauge" | "histogram"
  readonly name: string
  /** short: it is part of the registry's key of every series */
  readonly description: string
  /** UCUM. Empty for a count: `1` makes collectors append `_ratio` to the name of a gauge */
  readonly unit: "" | "s"
}

const counter = (name: string, description: string): Entry => ({ kind: "counter", name, description, unit: "" })

export const attempt = counter("vmcp_keepalive_attempt_total", "Probes sent")
export const success = counter("vmcp_keepalive_success_total", "Probes that were answered")
export const failure = counter("vmcp_keepalive_failure_total", "Probes that failed")
export const autoDisabled = counter("vmcp_keepalive_auto_disabled_total", "How often the circuit opened")
export const suppressed = counter("vmcp_keepalive_suppressed_total", "Probes that traffic made needless")
export const sessionLost = counter("vmcp_keepalive_session_lost_total", "Sessions that were lost")
export const connectFailure = counter("vmcp_keepalive_connect_failure_total", "Attempts to open a session that failed")
export const reconnect = counter("vmcp_keepalive_reconnect_total", "Attempts to open a session, but the first")
export const call = counter("vmcp_keepalive_call_total", "Calls that ended")
export const dropped = counter("vmcp_keepalive_dropped_total", "Events of backends beyond maxBackends")

export const latency: Entry = {
  kind: "histogram",
  name: "vmcp_keepalive_latency_seconds",
  description: "Time until a probe was answered",
  unit: "s"
}

/** Of the histogram, in seconds: a ping on loopback takes 5 ms, a probe times out after 10 s unless the policy says otherwise. */
export const boundaries: ReadonlyArray<number> = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30
]

export const state: Entry = {
  kind: "gauge",
  name: "vmcp_keepalive_state",
  description: "1 for the current state, 0 for the others",
  unit: ""
}

/** By name. */
export const all: ReadonlyMap<string, Entry> = new Map(
  [
    attempt,
    success,
    failure,
    latency,
    autoDisabled,
    suppressed,
    state,
    sessionLost,
    connectFailure,
    reconnect,
    call,
    dropped
  ].map((entry) => [entry.name, entry])
)
