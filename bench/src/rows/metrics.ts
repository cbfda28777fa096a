/** What being seen costs: a call, an event and a backend, with the metrics and without. Needs `--expose-gc`. */
import { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import { Duration, Effect, Layer, Metric } from "effect"
import * as Heap from "../Heap.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Row } from "../Row.ts"

const calls = 20_000
/** Names the client, as callbacks do. */
const ready = (_client: unknown) => Promise.resolve(1)

/** A layer of observers over a registry of its own. */
const fresh = <E>(layer: Layer.Layer<never, E>) =>
  Layer.provideMerge(layer, Layer.succeed(Metric.MetricRegistry, new Map()))

export const metricsCall: Row = {
  name: "metrics-call",
  title: "A call around a promise that is ready, unobserved and observed",
  unit: "ns",
  run: Effect.gen(function* () {
    const caller = Effect.fnUntraced(function* (name: string, layer: Layer.Layer<never, unknown>) {
      const context = yield* Layer.build(fresh(layer))
      const connector = ScriptedServer.make().connector
      const backend = yield* Effect.provide(Backend.make({ id: "observed", connector }), context)
      yield* backend.awaitConnected
      return Rounds.effect(name, calls, Effect.orDie(backend.use(ready)))
    })
    return yield* Rounds.interleave(
      [
        yield* caller("nobody observes", Layer.empty),
        yield* caller(
          "an observer that does nothing",
          KeepaliveEvent.layerObserver(() => {})
        ),
        yield* caller("KeepaliveMetrics.layer", KeepaliveMetrics.layer())
      ],
      { rounds: 15, warmUp: 5 }
    )
  })
}

/** Everything that the metrics count, once. */
const happenings = (backend: string): ReadonlyArray<KeepaliveEvent.KeepaliveEvent> => {
  const stamp = { backend, at: 0 }
  return [
    {
      ...stamp,
      _tag: "Started",
      state: { _tag: "Connecting", since: 0, attempt: 1, trial: false, reason: undefined },
      required: false
    },
    { ...stamp, _tag: "ProbeSent", method: "ping" },
    { ...stamp, _tag: "ProbeSucceeded", method: "ping", latency: Duration.millis(3) },
    { ...stamp, _tag: "ProbeFailed", method: "ping", reason: "timeout", detail: undefined },
    { ...stamp, _tag: "ProbeSuppressed" },
    { ...stamp, _tag: "CircuitOpened", openings: 1, reason: "timeout" },
    { ...stamp, _tag: "AttemptFailed", reason: "refused", detail: undefined, duration: Duration.zero },
    { ...stamp, _tag: "AttemptSucceeded", generation: 1, duration: Duration.zero },
    { ...stamp, _tag: "CallStarted" },
    {
      ...stamp,
      _tag: "CallSettled",
      outcome: "ok",
      reason: undefined,
      replayed: false,
      method: "tools/call",
      duration: Duration.millis(3)
    },
    {
      ...stamp,
      _tag: "StateChanged",
      from: { _tag: "Connecting", since: 0, attempt: 1, trial: false, reason: undefined },
      to: { _tag: "Connected", since: 0, generation: 1 }
    }
  ]
}

const backends = 100

export const metricsEvent: Row = {
  name: "metrics-event",
  title: `An event, ${backends} backends, of every kind in turn`,
  unit: "ns",
  run: Effect.gen(function* () {
    const context = yield* Layer.build(fresh(KeepaliveMetrics.layer()))
    const observers = yield* Effect.provideContext(KeepaliveEvent.observers, context)
    const counter = Metric.withAttributes(Metric.counter("bench", { incremental: true }), { backend_id: "bench" })
    const events = Array.from({ length: backends }, (_, index) => happenings(`backend-${index}`)).flat()
    const over = (name: string, tell: (event: KeepaliveEvent.KeepaliveEvent) => void): Contestant => ({
      name,
      round: async () => {
        const rounds = 50
        const startedAt = performance.now()
        for (let round = 0; round < rounds; round++) for (const event of events) tell(event)
        return ((performance.now() - startedAt) * 1e6) / (rounds * events.length)
      }
    })
    return yield* Rounds.interleave(
      [
        over("Metric.update of one counter", () => counter.updateUnsafe(1, context)),
        over("KeepaliveMetrics.layer", (event) => {
          for (const observer of observers) observer(event)
        })
      ],
      { rounds: 15, warmUp: 5 }
    )
  })
}

const held = 2000

export const metricsHeap: Row = {
  name: "metrics-heap",
  title: `Heap of each of ${held.toLocaleString("en")} backends in the registry`,
  unit: "B",
  run: Effect.suspend(() => {
    const filling = (name: string, eventsOf: (backend: string) => ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) => ({
      name,
      round: () =>
        Effect.runPromise(
          Effect.gen(function* () {
            const context = yield* Layer.build(fresh(KeepaliveMetrics.layer()))
            const observers = yield* Effect.provideContext(KeepaliveEvent.observers, context)
            const before = yield* Effect.promise(Heap.used)
            for (let index = 0; index < held; index++) {
              for (const event of eventsOf(`backend-${index}`)) for (const observer of observers) observer(event)
            }
            return ((yield* Effect.promise(Heap.used)) - before) / held
          }).pipe(Effect.scoped)
        )
    })
    return Rounds.interleave(
      [
        filling("started: its states", (backend) => happenings(backend).slice(0, 1)),
        filling("probed: two counters and a histogram more", (backend) => happenings(backend).slice(0, 3)),
        filling("every kind of event once: 21 series", happenings)
      ],
      { rounds: 3, warmUp: 1 }
    )
  })
}
