/**
 * A life that has everything in it: real backends on the live clock meet every kind of fault, while a real Prometheus
 * scrapes what they expose and an observer counts by itself.
 */
import { Backend, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Context, Effect, Fiber, Layer, Logger, Metric, Schedule } from "effect"
import { KeepaliveMetrics } from "../../src/index.ts"
import * as On from "../support.ts"
import * as Shipped from "./support.ts"

export class Fleet extends Context.Service<
  Fleet,
  {
    readonly prometheus: Prometheus.Prometheus
    /** when the first backend was made, in seconds */
    readonly began: number
    /** what the observer counted, once nothing happens any more */
    readonly expected: On.Figures
    /** the alerts while the faults lasted */
    readonly alerts: ReadonlyArray<{
      readonly labels: Readonly<Record<string, string>>
      readonly annotations: Readonly<Record<string, string>>
    }>
  }
>()("test/Fleet") {}

const policy: KeepalivePolicy.Options = {
  cadence: Schedule.spaced("100 millis"),
  timeout: "100 millis",
  confirmInterval: "50 millis",
  failureThreshold: 2,
  backoff: { initial: "50 millis", factor: 1 },
  circuit: { failures: 2, openFor: "1 hour" },
  stableAfter: 0
}

const kept = Effect.fnUntraced(function* (id: string) {
  const server = ScriptedServer.make()
  server.script.latency = "3 millis"
  return { server, backend: yield* Backend.make({ id, connector: server.connector, policy }) }
})

const pay = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("pay", { signal })

/** Kills the session under a call that the server has begun to execute. */
const killedUnder = Effect.fnUntraced(function* (
  { backend, server }: Effect.Success<ReturnType<typeof kept>>,
  options: Backend.UseOptions
) {
  server.script.call = () => ScriptedServer.silence
  const call = yield* Effect.forkChild(Effect.exit(backend.use(pay, options)), { startImmediately: true })
  server.script.call = () => ScriptedServer.answer
  server.kill("reset")
  yield* Fiber.join(call)
  yield* backend.awaitConnected
})

const live = Effect.gen(function* () {
  const { host, port } = yield* KeepaliveMetrics.PrometheusEndpoint
  const prometheus = yield* Prometheus.make({ target: `${host}:${port}`, rules: Shipped.alertsPath })
  const isIn = (state: string, ...ids: ReadonlyArray<string>) =>
    Prometheus.until(
      `Prometheus sees ${ids.join(", ")} in ${state}`,
      prometheus.query(`vmcp_keepalive_state{state="${state}"} == 1`),
      (series) => ids.every((id) => series.some(({ labels }) => labels["backend_id"] === id))
    )

  const began = Date.now() / 1000
  const steady = yield* kept("steady")
  const failing = yield* kept("failing")
  const flapping = yield* kept("flapping")
  const locked = yield* kept("locked")
  yield* Effect.all([steady, failing, flapping, locked].map(({ backend }) => backend.awaitConnected))
  // one more than maxBackends
  yield* kept("uncounted")
  yield* isIn("Connected", "steady", "failing", "flapping", "locked")

  // calls that are answered make probes needless; some end otherwise
  yield* Effect.repeat(
    steady.backend.use(pay),
    Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "1 second" }))
  )
  steady.server.script.call = () => ScriptedServer.error(-32602)
  yield* Effect.flip(steady.backend.use(pay))
  steady.server.script.call = () => ScriptedServer.answer
  yield* killedUnder(flapping, {})
  yield* killedUnder(flapping, { idempotent: true })
  yield* Effect.repeat(flapping.backend.reconnect, { times: 3 })

  // a server that first keeps silent and then is gone; one that rejects the credentials
  failing.server.script.probe = ScriptedServer.silence
  failing.server.script.connect = ScriptedServer.unreachable()
  locked.server.script.connect = ScriptedServer.refuse(401)
  locked.server.kill("reset")
  yield* isIn("CircuitOpen", "failing")
  yield* isIn("NeedsAuth", "locked")
  yield* Effect.flip(failing.backend.use(pay))
  const rules = yield* Prometheus.until("every alert is active", prometheus.rules, (rules) =>
    rules.every(({ alerts }) => alerts.length > 0)
  )

  failing.server.script.probe = ScriptedServer.answer
  failing.server.script.connect = ScriptedServer.answer
  yield* failing.backend.reconnect
  yield* isIn("Connected", "failing")

  // from here on nothing happens, so that figures can be compared
  for (const { backend } of [steady, failing, flapping, locked]) yield* backend.isolate
  return { prometheus, began, alerts: rules.flatMap(({ alerts }) => alerts) }
})

/** The fleet after its life; it and its Prometheus end with the layer. */
export const layer = Layer.effect(
  Fleet,
  Effect.gen(function* () {
    const { expected, observer } = On.makeOracle()
    const services = yield* Layer.build(
      KeepaliveMetrics.layerPrometheus({ port: 0, maxBackends: 4 }).pipe(
        Layer.provideMerge(KeepaliveEvent.layerObserver(observer)),
        Layer.provide(Logger.layer([]))
      )
    )
    const life = yield* Effect.provideContext(live, services)
    const counted = Object.entries(expected()).filter(([series]) => !series.includes('backend_id="uncounted"'))
    return { ...life, expected: Object.fromEntries(counted) }
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
)
