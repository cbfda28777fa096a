/** Events made by hand, and what they should come to, counted independently of the package. */
import { type ConnectionState, type FailureReason, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Duration, Effect, Metric } from "effect"

type State = ConnectionState.ConnectionState
type Happening = KeepaliveEvent.Happening

/** Tells every observer of the context; of a backend that is new, that it started Connecting, before anything else. */
export const tell = Effect.map(KeepaliveEvent.observers, (observers) => {
  const known = new Set<string>()
  return (backend: string, ...happenings: Happening[]) => {
    const begun = known.has(backend) || happenings[0]?._tag === "Started" ? happenings : [started(), ...happenings]
    known.add(backend)
    for (const happening of begun) for (const observer of observers) observer({ ...happening, backend, at: 0 })
  }
})

export const stateOf = {
  Idle: { _tag: "Idle", since: 0 },
  Connecting: { _tag: "Connecting", since: 0, attempt: 1, trial: false, reason: undefined },
  Connected: { _tag: "Connected", since: 0, generation: 1 },
  Unhealthy: { _tag: "Unhealthy", since: 0, generation: 1, failures: 1, reason: "timeout", held: false },
  Disconnected: { _tag: "Disconnected", since: 0, nextAttemptAt: undefined, attempt: 1, reason: "refused" },
  CircuitOpen: { _tag: "CircuitOpen", since: 0, nextAttemptAt: undefined, openings: 1, reason: "refused" },
  NeedsAuth: { _tag: "NeedsAuth", since: 0, nextAttemptAt: undefined },
  Isolated: { _tag: "Isolated", since: 0 },
  Closed: { _tag: "Closed", since: 0 }
} as const satisfies { readonly [Tag in State["_tag"]]: Extract<State, { readonly _tag: Tag }> }

export type Tag = keyof typeof stateOf
export const tags = Object.keys(stateOf).filter((tag): tag is Tag => tag in stateOf)

export const changed = (from: Tag, to: Tag): Happening => ({
  _tag: "StateChanged",
  from: stateOf[from],
  to: stateOf[to]
})
export const started = (state: Tag = "Connecting"): Happening => ({
  _tag: "Started",
  state: stateOf[state],
  required: false
})
export const sent: Happening = { _tag: "ProbeSent", method: "ping" }
export const answered = (latency: Duration.Input): Happening => ({
  _tag: "ProbeSucceeded",
  method: "ping",
  latency: Duration.fromInputUnsafe(latency)
})
export const missed = (reason: FailureReason.FailureReason): Happening => ({
  _tag: "ProbeFailed",
  method: "ping",
  reason,
  detail: undefined
})
export const suppressed: Happening = { _tag: "ProbeSuppressed" }
export const opened = (reason: FailureReason.FailureReason): Happening => ({
  _tag: "CircuitOpened",
  openings: 1,
  reason
})
export const connected = (generation = 1): Happening => ({
  _tag: "AttemptSucceeded",
  generation,
  duration: Duration.millis(3)
})
export const refused = (detail?: string): Happening => ({
  _tag: "AttemptFailed",
  reason: "refused",
  detail,
  duration: Duration.millis(3)
})
export const listed: Happening = {
  _tag: "ListChanged",
  kind: "tools",
  added: ["x", "y"],
  removed: [],
  changed: ["z"]
}
export const sessionClosed = (reason: FailureReason.FailureReason, detail?: string): Happening => ({
  _tag: "SessionClosed",
  generation: 1,
  reason,
  detail
})
export const sessionDraining = (reason: FailureReason.FailureReason): Happening => ({
  _tag: "SessionDraining",
  generation: 1,
  reason
})
export const delay = Duration.seconds(1)
export const callBegan: Happening = { _tag: "CallStarted" }
export const callQueued: Happening = { _tag: "CallQueued" }
export const reconfigured = (required: boolean): Happening => ({
  _tag: "Reconfigured",
  connection: false,
  policy: true,
  required
})
export const callDequeued: Happening = { _tag: "CallDequeued" }
export const replayDenied: Happening = { _tag: "ReplayDenied" }
export const sessionExpired: Happening = { _tag: "SessionExpired", generation: 1 }
/** A call that ended so, as the metric has it. */
export const called = (
  outcome: (typeof outcomes)[number],
  duration: Duration.Input = "3 millis",
  method: string | undefined = "tools/call"
): Happening => ({
  _tag: "CallSettled",
  outcome: outcome === "replayed" ? "ok" : outcome,
  reason: outcome === "rejected" ? "overloaded" : undefined,
  replayed: outcome === "replayed",
  method,
  duration: Duration.fromInputUnsafe(duration)
})

/** A call that made requests by several methods, or none. */
export const several: Happening = {
  _tag: "CallSettled",
  outcome: "ok",
  reason: undefined,
  replayed: false,
  method: undefined,
  duration: Duration.millis(3)
}

export const outcomes = ["ok", "failed", "rejected", "outcome_unknown", "replayed"] as const

/** Figures by series: `name{label="word"}`, as Prometheus writes them; histograms by their count. */
export type Figures = Record<string, number>

export const seriesName = (name: string, attributes: Readonly<Record<string, unknown>> = {}) => {
  const labels = Object.entries(attributes).map(([label, word]) => `${label}=${JSON.stringify(word)}`)
  return labels.length === 0 ? name : `${name}{${labels.join(",")}}`
}

/** Of one series, not of a backend: how many there are, which is always exported. */
export const backends = "vmcp_keepalive_backends"

/** What is in the registry of the context, but for the number of backends. */
export const figures: Effect.Effect<Figures> = Effect.map(Metric.snapshot, (points) =>
  Object.fromEntries(
    points
      .filter(({ id }) => id !== backends)
      .map((point) => [
        seriesName(point.id, point.attributes),
        point.type === "Gauge"
          ? Number(point.state.value)
          : point.type === "Counter" || point.type === "Histogram"
            ? Number(point.state.count)
            : Number.NaN
      ])
  )
)

/** All but the states, which a backend has from its start. */
export const countsOf = (figures: Figures): Figures =>
  Object.fromEntries(Object.entries(figures).filter(([series]) => !series.startsWith("vmcp_keepalive_state")))

/** What is in the registry of the context, but for the states. */
export const counts: Effect.Effect<Figures> = Effect.map(figures, countsOf)

/** The state series of a backend. */
export const stateFigures = (backend: string, current: Tag): Figures =>
  Object.fromEntries(
    tags.map((tag) => [
      seriesName("vmcp_keepalive_state", { backend_id: backend, state: tag }),
      tag === current ? 1 : 0
    ])
  )

/** An empty registry of its own for a test. */
export const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

/** Counts what observers are told, without any of the package's code. */
export const makeOracle = () => {
  const counts: Figures = {}
  const attempted = new Set<string>()
  const states = new Map<string, string>()
  const inFlight = new Map<string, number>()
  const queued = new Map<string, number>()
  const required = new Map<string, number>()
  const add = (name: string, attributes: Record<string, string>, count = 1) => {
    const key = seriesName(name, attributes)
    counts[key] = (counts[key] ?? 0) + count
  }
  const observer: KeepaliveEvent.Observer = (event) => {
    const backend_id = event.backend
    if (event._tag === "ProbeSent") add("vmcp_keepalive_attempt_total", { backend_id })
    if (event._tag === "ProbeSucceeded") {
      add("vmcp_keepalive_success_total", { backend_id })
      add("vmcp_keepalive_latency_seconds", { backend_id })
    }
    if (event._tag === "ProbeFailed") add("vmcp_keepalive_failure_total", { backend_id, reason: event.reason })
    if (event._tag === "ProbeSuppressed") add("vmcp_keepalive_suppressed_total", { backend_id })
    if (event._tag === "CircuitOpened") add("vmcp_keepalive_auto_disabled_total", { backend_id, reason: event.reason })
    if (event._tag === "CallStarted") inFlight.set(backend_id, (inFlight.get(backend_id) ?? 0) + 1)
    if (event._tag === "CallSettled") {
      const outcome = event.outcome === "ok" && event.replayed ? "replayed" : event.outcome
      add("vmcp_keepalive_call_total", { backend_id, outcome })
      add("vmcp_keepalive_call_duration_seconds", { backend_id, outcome })
      if (outcome === "rejected")
        add("vmcp_keepalive_rejected_total", { backend_id, reason: event.reason ?? "unknown" })
      inFlight.set(backend_id, (inFlight.get(backend_id) ?? 0) - 1)
    }
    if (event._tag === "CallQueued") queued.set(backend_id, (queued.get(backend_id) ?? 0) + 1)
    if (event._tag === "CallDequeued") queued.set(backend_id, (queued.get(backend_id) ?? 0) - 1)
    if (event._tag === "ReplayDenied") add("vmcp_keepalive_replay_denied_total", { backend_id })
    if (event._tag === "SessionExpired") add("vmcp_keepalive_session_expired_total", { backend_id })
    if (event._tag === "ListChanged") {
      const { added, changed, kind, removed } = event
      for (const [change, { length }] of Object.entries({ added, changed, removed })) {
        if (length > 0) add("vmcp_keepalive_list_changes_total", { backend_id, change, kind }, length)
      }
    }
    if (event._tag === "SessionClosed" && event.reason !== "closed") {
      add("vmcp_keepalive_session_lost_total", { backend_id, reason: event.reason })
    }
    if (event._tag === "AttemptFailed")
      add("vmcp_keepalive_connect_failure_total", { backend_id, reason: event.reason })
    if (event._tag === "AttemptSucceeded" || event._tag === "AttemptFailed") {
      const outcome = event._tag === "AttemptSucceeded" ? "ok" : "failed"
      if (attempted.has(backend_id)) add("vmcp_keepalive_reconnect_total", { backend_id, outcome })
      attempted.add(backend_id)
    }
    if (event._tag === "Started") {
      states.set(backend_id, event.state._tag)
      if (event.required) required.set(backend_id, 1)
      attempted.delete(backend_id)
    }
    if (event._tag === "Reconfigured" && (event.required || required.has(backend_id)))
      required.set(backend_id, event.required ? 1 : 0)
    if (event._tag === "StateChanged") states.set(backend_id, event.to._tag)
  }
  const expected = (): Figures => {
    const all = { ...counts }
    for (const [backend_id, calls] of inFlight)
      all[seriesName("vmcp_keepalive_calls_in_flight", { backend_id })] = calls
    for (const [backend_id, calls] of queued) all[seriesName("vmcp_keepalive_calls_queued", { backend_id })] = calls
    for (const [backend_id, is] of required) all[seriesName("vmcp_keepalive_required", { backend_id })] = is
    for (const [backend, current] of states) {
      for (const tag of tags) {
        all[seriesName("vmcp_keepalive_state", { backend_id: backend, state: tag })] = tag === current ? 1 : 0
      }
    }
    return all
  }
  return { observer, expected }
}
