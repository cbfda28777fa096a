/**
 * A life that has everything in it: real backends on the live clock meet every kind of fault, while a real Prometheus
 * scrapes what they expose and an observer counts by itself.
 */
import { Backend, KeepaliveEvent, type KeepalivePolicy, Ownership } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Context, Duration, Effect, Fiber, Layer, Logger, Metric, Schedule } from "effect"
import { KeepaliveMetrics } from "../../src/index.ts"
import * as On from "../support.ts"
import * as Shipped from "./support.ts"

export class Fleet extends Context.Service<
  Fleet,
  {
    readonly prometheus: Prometheus.Prometheus
    /** host and port of what it scrapes */
    readonly endpoint: string
    /** when the first backend was made, in seconds */
    readonly began: number
    /** what the observer counted, once nothing happens any more; dropped events in one figure */
    readonly expected: On.Figures
    /** the alerts while the faults lasted */
    readonly alerts: ReadonlyArray<{
      readonly labels: Readonly<Record<string, string>>
      readonly annotations: Readonly<Record<string, string>>
    }>
  }
>()("test/Fleet") {}

/** Of the panels in a life of seconds: each holds a scrape at least. */
export const bar = Duration.seconds(1)

const policy: KeepalivePolicy.Options = {
  cadence: Schedule.spaced("100 millis"),
  timeout: "100 millis",
  confirmInterval: "50 millis",
  failureThreshold: 2,
  backoff: { initial: "50 millis", factor: 1 },
  circuit: { failures: 2, openFor: "1 hour" },
  stableAfter: 0,
  removalGrace: 0
}

/** for how long leases are certain, in this process of a cluster */
const lease = { long: Duration.seconds(9), short: Duration.seconds(2) }

const kept = Effect.fnUntraced(function* (id: string, others: KeepalivePolicy.Options = {}) {
  const server = ScriptedServer.make()
  server.script.latency = "3 millis"
  const backend = yield* Backend.make({ id, connector: server.connector, policy: { ...policy, ...others } })
  let margin = lease.long
  /** From now on this process is the one of a cluster that keeps it. */
  const take = Effect.flatMap(Ownership.observers, (observers) =>
    Effect.forEach(observers, (observe) =>
      Effect.acquireRelease(
        Effect.sync(() => observe(id, () => margin)),
        (left) => Effect.sync(left)
      )
    )
  )
  return { server, backend, take, shorten: () => void (margin = lease.short) }
})

const pay = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("pay", { signal })

type Kept = Effect.Success<ReturnType<typeof kept>>

/** Kills the session under a call that the server has begun to execute. */
const killedUnder = Effect.fnUntraced(function* ({ backend, server }: Kept, options: Backend.UseOptions) {
  server.script.call = () => ScriptedServer.silence
  const call = yield* Effect.forkChild(Effect.exit(backend.use(pay, options)), { startImmediately: true })
  server.script.call = () => ScriptedServer.answer
  server.kill("reset")
  yield* Fiber.join(call)
  yield* backend.awaitConnected
})

/** Kills a session that has not proven itself under two calls, of which one is run again: so much is always allowed. */
const killedYoung = Effect.fnUntraced(function* ({ backend, server }: Kept) {
  yield* backend.reconnect
  server.script.call = () => ScriptedServer.silence
  const call = Effect.exit(backend.use(pay, { idempotent: true }))
  const calls = yield* Effect.forkChild(Effect.all([call, call], { concurrency: 2 }), { startImmediately: true })
  server.script.call = () => ScriptedServer.answer
  server.kill("reset")
  yield* Fiber.join(calls)
  yield* backend.awaitConnected
})

/** Kills a session that has proven itself, so that the next one is opened at once. */
const killed = Effect.fnUntraced(function* ({ backend, server }: Kept) {
  yield* backend.use(pay)
  server.kill("reset")
  yield* backend.awaitConnected
})

const live = Effect.gen(function* () {
  const { host, port } = yield* KeepaliveMetrics.PrometheusEndpoint
  const endpoint = `${host}:${port}`
  const prometheus = yield* Prometheus.make({ target: endpoint, rules: Shipped.alertsPath })
  const isIn = (state: string, ...ids: ReadonlyArray<string>) =>
    Prometheus.until(
      `Prometheus sees ${ids.join(", ")} in ${state}`,
      prometheus.query(`vmcp_keepalive_state{state="${state}"} == 1`),
      (series) => ids.every((id) => series.some(({ labels }) => labels["backend_id"] === id))
    )

  const isExpired = (id: string) =>
    Prometheus.until(
      `Prometheus sees that a session of ${id} has expired`,
      prometheus.query(`vmcp_keepalive_session_expired_total{backend_id="${id}"} > 0`),
      (series) => series.length > 0
    )

  const began = Date.now() / 1000
  // nothing happens yet: what Prometheus sees from now on is what happens
  const steady = yield* kept("steady", { connect: "lazy", maxConcurrent: 1, queue: 1, maxLifetime: "1 second" })
  yield* isIn("Idle", "steady")
  yield* Effect.sleep(Duration.times(bar, 2))

  yield* steady.backend.use(pay)
  const failing = yield* kept("failing", { required: true })
  const flapping = yield* kept("flapping")
  const locked = yield* kept("locked")
  yield* Effect.all([steady, failing, flapping, locked].map(({ backend }) => backend.awaitConnected))
  // one more than maxBackends
  const uncounted = yield* kept("uncounted")
  for (const { take } of [steady, failing, flapping, locked, uncounted]) yield* take
  yield* isIn("Connected", "steady", "failing", "flapping", "locked")

  // calls that are answered make probes needless; some end otherwise, one alone with an unknown outcome
  yield* Effect.repeat(
    steady.backend.use(pay),
    Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "1 second" }))
  )
  steady.server.script.call = () => ScriptedServer.error(-32602)
  yield* Effect.repeat(Effect.flip(steady.backend.use(pay)), { times: 1 })
  steady.server.script.call = () => ScriptedServer.answer
  // some come while as many run and wait as may
  yield* Effect.all(
    Array.from({ length: 4 }, () => Effect.exit(steady.backend.use(pay))),
    { concurrency: "unbounded" }
  )
  yield* killedUnder(flapping, {})
  yield* Effect.repeat(killedUnder(flapping, { idempotent: true }), { times: 1 })
  yield* killed(flapping)
  yield* killedYoung(flapping)
  // what is wanted is no flapping
  yield* Effect.repeat(steady.backend.reconnect, { times: 4 })

  // tools that come, of which one goes and one becomes another one
  steady.server.script.tools = [{ name: "pay" }, { name: "refund" }]
  steady.server.listChanged("tools")
  yield* Effect.repeat(steady.backend.lists, {
    until: ({ tools }) => tools.length === 2,
    schedule: Schedule.spaced("5 millis")
  })
  steady.server.script.tools = [{ name: "pay", description: "more" }]
  steady.server.listChanged("tools")
  yield* Effect.repeat(steady.backend.lists, {
    until: ({ tools }) => tools.length === 1,
    schedule: Schedule.spaced("5 millis")
  })

  flapping.shorten()
  // a server that first keeps silent and then is gone; one that rejects the credentials
  failing.server.script.probe = ScriptedServer.silence
  failing.server.script.connect = ScriptedServer.unreachable()
  locked.server.script.connect = ScriptedServer.refuse(401)
  locked.server.kill("reset")
  yield* isIn("CircuitOpen", "failing")
  yield* isIn("NeedsAuth", "locked")
  yield* Effect.repeat(Effect.flip(failing.backend.use(pay)), { times: 2 })
  // by now it has lived for longer than it may
  yield* isExpired("steady")
  // but for the one of a process without backends, and those of what one process of a cluster cannot do alone
  const rules = yield* Prometheus.until("every alert is active", prometheus.rules, (rules) =>
    rules.every(
      ({ alerts, name }) =>
        alerts.length > 0 || ["McpNoBackends", "McpClusterKeepsNothing", "McpBackendKeptTwice"].includes(name)
    )
  )

  // from here on nothing happens, so that figures can be compared: the next attempts of the others are an hour away
  for (const { backend } of [steady, flapping, uncounted]) yield* backend.isolate
  return { prometheus, endpoint, began, alerts: rules.flatMap(({ alerts }) => alerts) }
})

/** The fleet after its life; it and its Prometheus end with the layer. */
export const layer = Layer.effect(
  Fleet,
  Effect.gen(function* () {
    const { expected, observer } = On.makeOracle()
    let dropped = 0
    const services = yield* Layer.build(
      KeepaliveMetrics.layerPrometheus({ port: 0, maxBackends: 4 }).pipe(
        Layer.provideMerge(
          KeepaliveEvent.layerObserver((event) => {
            if (event.backend === "uncounted") dropped++
            else observer(event)
          })
        ),
        Layer.provide(Logger.layer([]))
      )
    )
    const life = yield* Effect.provideContext(live, services)
    const counted: On.Figures = {
      vmcp_keepalive_backends: 5,
      vmcp_keepalive_dropped_total: dropped,
      vmcp_keepalive_cluster_lease_margin_seconds: Duration.toSeconds(lease.short)
    }
    for (const backend_id of ["steady", "failing", "flapping", "locked"]) {
      counted[On.seriesName("vmcp_keepalive_cluster_owner", { backend_id })] = 1
      counted[On.seriesName("vmcp_keepalive_cluster_moves_total", { backend_id })] = 1
    }
    return { ...life, expected: { ...expected(), ...counted } }
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
)
