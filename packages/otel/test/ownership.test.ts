/** What a cluster tells of the backends that this process keeps. */
import { assert, describe, it } from "@effect/vitest"
import { Ownership } from "@vmcp-keepalive/core"
import { Duration, Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveMetrics } from "../src/index.ts"
import * as Collector from "./collector.ts"
import * as On from "./support.ts"

const owner = (backend: string) => `vmcp_keepalive_cluster_owner{backend_id="${backend}"}`
const moves = (backend: string) => `vmcp_keepalive_cluster_moves_total{backend_id="${backend}"}`
const margin = "vmcp_keepalive_cluster_lease_margin_seconds"

/** The figures of a cluster alone. */
const figures = Effect.map(On.figures, (all) =>
  Object.fromEntries(Object.entries(all).filter(([series]) => series.startsWith("vmcp_keepalive_cluster_")))
)

/** A backend that this process begins to keep; the lease of what it keeps is as certain as `left` says. */
const take = Effect.fnUntraced(function* (backend: string, left: () => Duration.Duration = () => Duration.seconds(9)) {
  const tell = yield* On.tell
  tell(backend, On.changed("Connecting", "Connected"))
  const ends = (yield* Ownership.observers).map((observe) => observe(backend, left))
  return Effect.sync(() => {
    tell(backend, On.changed("Connected", "Closed"))
    for (const end of ends) end()
  })
})

describe("the owner of a backend", () => {
  it.effect("is the process that keeps it, while it is certain of that, and nobody where there is no cluster", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("alone", On.changed("Connecting", "Connected"))
      assert.deepStrictEqual(yield* figures, {})
      let left = Duration.seconds(9)
      const leave = yield* take("a", () => left)
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 1, [moves("a")]: 1, [margin]: 9 })
      left = Duration.zero
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 0, [moves("a")]: 1, [margin]: 0 })
      left = Duration.millis(500)
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 1, [moves("a")]: 1, [margin]: 0.5 })
      yield* leave
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 0, [moves("a")]: 1 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* figures, {})
    }).pipe(Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.effect("is counted as a move each time that it takes the backend", () =>
    Effect.gen(function* () {
      yield* yield* take("a")
      yield* TestClock.adjust("30 seconds")
      yield* yield* take("a")
      const leave = yield* take("a")
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 1, [moves("a")]: 3, [margin]: 9 })
      yield* leave
      assert.strictEqual((yield* figures)[owner("a")], 0)
    }).pipe(Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.effect("is not told beyond maxBackends, where the margin still is of everything that is kept", () =>
    Effect.gen(function* () {
      const leaveFirst = yield* take("a")
      const leaveSecond = yield* take("b", () => Duration.seconds(2))
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 1, [moves("a")]: 1, [margin]: 2 })
      yield* leaveSecond
      assert.strictEqual((yield* figures)[margin], 9)
      yield* leaveFirst
      assert.isUndefined((yield* figures)[margin])
    }).pipe(Effect.provide(KeepaliveMetrics.layer({ maxBackends: 1 })), On.isolated)
  )

  it.effect("leaves nothing when the telemetry ends before it", () =>
    Effect.gen(function* () {
      const leave = yield* take("a").pipe(Effect.provide(KeepaliveMetrics.layer()))
      assert.deepStrictEqual(yield* Metric.snapshot, [])
      yield* leave
      assert.deepStrictEqual(yield* Metric.snapshot, [])
    }).pipe(On.isolated)
  )

  it.effect("is counted once, however many layers there are", () =>
    Effect.gen(function* () {
      yield* take("a")
      assert.deepStrictEqual(yield* figures, { [owner("a")]: 1, [moves("a")]: 1, [margin]: 9 })
    }).pipe(Effect.provide(KeepaliveMetrics.layer()), Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.live.each(["http/json", "http/protobuf"] as const)(
    "its lease is exported with fractions of a second, and nothing is missing beside it: %s",
    (protocol) =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        yield* take("a", () => Duration.millis(8750)).pipe(
          Effect.provide(KeepaliveMetrics.layerOtlp({ url: collector.url, protocol }))
        )
        const metrics = collector.exports.flatMap(({ metrics }) => metrics)
        const values = metrics.flatMap(({ name, points }) => (name === margin ? points.map(({ value }) => value) : []))
        assert.deepStrictEqual(values, [8.75])
      }).pipe(Effect.scoped, On.isolated)
  )
})
