/**
 * Every metric of this package: name, meaning, unit.
 *
 * The unit is no attribute in Effect's registry, where it would become a label of every series. Exporters look it up here.
 */

export type Entry = Simple | Histogram

interface Common {
  /** as OpenTelemetry has it: Prometheus has underscores for its dots, and its unit behind it */
  readonly name: string
  /** short: it is part of the registry's key of every series */
  readonly description: string
  /** UCUM. Empty for a count: `1` makes collectors append `_ratio` to the name of a gauge */
  readonly unit: "" | "s"
}

/** One figure a series. */
export interface Simple extends Common {
  readonly kind: "counter" | "gauge"
}

/** A series of figures by bucket. */
export interface Histogram extends Common {
  readonly kind: "histogram"
  /** the upper bounds of its buckets, but for the last one, which has none */
  readonly boundaries: ReadonlyArray<number>
}

const counter = (name: string, description: string): Simple => ({ kind: "counter", name, description, unit: "" })
const gauge = (name: string, description: string, unit: "" | "s" = ""): Simple => ({
  kind: "gauge",
  name,
  description,
  unit
})
const seconds = (name: string, description: string, boundaries: ReadonlyArray<number>): Histogram => ({
  kind: "histogram",
  name,
  description,
  unit: "s",
  boundaries
})

/** Of probes: a ping on loopback takes 5 ms, a probe times out after 10 s unless the policy says otherwise. */
const ofProbes = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Those that OpenTelemetry's conventions for MCP ask for. */
const ofConventions = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

/** Of calls: tools take up to minutes. Few of those above, since every backend has them for every outcome. */
const ofCalls = [0.01, 0.05, 0.2, 1, 5, 30, 120, 300]

export const attempt = counter("vmcp_keepalive_attempt_total", "Probes sent")
export const success = counter("vmcp_keepalive_success_total", "Probes that were answered")
export const failure = counter("vmcp_keepalive_failure_total", "Probes that failed")
export const latency = seconds("vmcp_keepalive_latency_seconds", "Time until a probe was answered", ofProbes)
export const autoDisabled = counter("vmcp_keepalive_auto_disabled_total", "How often the circuit opened")
export const suppressed = counter("vmcp_keepalive_suppressed_total", "Probes that traffic made needless")
export const state = gauge("vmcp_keepalive_state", "1 for the current state, 0 for the others")
export const sessionLost = counter("vmcp_keepalive_session_lost_total", "Sessions that were lost")
export const connectFailure = counter("vmcp_keepalive_connect_failure_total", "Attempts to open a session that failed")
export const reconnect = counter("vmcp_keepalive_reconnect_total", "Attempts to open a session, but the first")
export const call = counter("vmcp_keepalive_call_total", "Calls that ended")
export const callDuration = seconds("vmcp_keepalive_call_duration_seconds", "Time until a call ended", ofCalls)
export const inFlight = gauge("vmcp_keepalive_calls_in_flight", "Calls that have not ended")
export const required = gauge("vmcp_keepalive_required", "1 where the host is not ready without it")
export const queued = gauge("vmcp_keepalive_calls_queued", "Calls that wait for their turn")
export const rejected = counter("vmcp_keepalive_rejected_total", "Calls that were rejected")
export const replayDenied = counter("vmcp_keepalive_replay_denied_total", "Calls not run again, for want of budget")
export const sessionExpired = counter("vmcp_keepalive_session_expired_total", "Sessions that reached maxLifetime")
export const listChanges = counter("vmcp_keepalive_list_changes_total", "Entries of lists that came, went or changed")
export const backends = gauge("vmcp_keepalive_backends", "Backends that are not closed")
export const dropped = counter("vmcp_keepalive_dropped_total", "Events of backends beyond maxBackends")

/** Of a cluster only. */
export const owner = gauge("vmcp_keepalive_cluster_owner", "1 where this process keeps it, and is certain of that")
export const moves = counter("vmcp_keepalive_cluster_moves_total", "How often this process began to keep it")
export const leaseMargin = gauge("vmcp_keepalive_cluster_lease_margin_seconds", "How long leases are certain", "s")

/** Of OpenTelemetry's conventions for MCP, stability "development"; only where `conventions` asks for them. */
export const operation = seconds("mcp.client.operation.duration", "Time until a request was answered", ofConventions)
export const session = seconds("mcp.client.session.duration", "How long a session lasted", ofConventions)

/** By name. */
export const all: ReadonlyMap<string, Entry> = new Map(
  [
    backends,
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
    callDuration,
    inFlight,
    required,
    queued,
    rejected,
    replayDenied,
    sessionExpired,
    listChanges,
    dropped,
    owner,
    moves,
    leaseMargin,
    operation,
    session
  ].map((entry) => [entry.name, entry])
)
