/** OpenTelemetry's metrics of an MCP client. */
import { assert, describe, it } from "@effect/vitest"
import { Backend, FailureReason, type KeepaliveEvent } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Prometheus } from "@vmcp-keepalive/testkit"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveMetrics } from "../src/index.ts"
import * as Collector from "./collector.ts"
import * as On from "./support.ts"

const counting = Effect.provide(KeepaliveMetrics.layer({ conventions: true }))

const probe = (method: string): ReadonlyArray<KeepaliveEvent.Happening> => [
  { _tag: "ProbeSent", method },
  { _tag: "ProbeSucceeded", method, latency: On.delay }
]

/** Of every series: its count and its sum, in seconds. */
const ofConventions = Effect.map(Metric.snapshot, (points) =>
  Object.fromEntries(
    points.flatMap(({ attributes, id, state }) =>
      id.startsWith("mcp.") && "buckets" in state ? [[On.seriesName(id, attributes), [state.count, state.sum]]] : []
    )
  )
)

describe("mcp.client.operation.duration", () => {
  it.effect("is of each probe by its method, and by why it failed", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (const method of ["ping", "list-tools", "discover", "tool"]) tell("a", ...probe(method))
      for (const reason of ["timeout", "upstream"] as const) {
        tell("a", On.sent)
        yield* TestClock.adjust("2 seconds")
        tell("a", On.missed(reason))
      }
      const series = (method: string, failure = {}) =>
        On.seriesName("mcp.client.operation.duration", { backend_id: "a", "mcp.method.name": method, ...failure })
      assert.deepStrictEqual(yield* ofConventions, {
        [series("ping")]: [1, 1],
        [series("tools/list")]: [1, 1],
        [series("server/discover")]: [1, 1],
        [series("tools/call")]: [1, 1],
        [series("ping", { "error.type": "timeout" })]: [1, 2],
        [series("ping", { "error.type": "upstream" })]: [1, 2]
      })
    }).pipe(counting, On.isolated)
  )

  it.effect(
    "is of each call by the method of its requests, and by how it ended; methods nobody knows share a series",
    () =>
      Effect.gen(function* () {
        const tell = yield* On.tell
        for (const outcome of On.outcomes) tell("a", On.callBegan, On.called(outcome, "2 seconds"))
        tell("a", On.callBegan, On.called("ok", "1 second", "resources/read"))
        for (let index = 0; index < 100; index++) tell("a", On.callBegan, On.called("ok", 10, `own/${index}`))
        const series = (method: string, failure = {}) =>
          On.seriesName("mcp.client.operation.duration", { backend_id: "a", "mcp.method.name": method, ...failure })
        assert.deepStrictEqual(Object.keys(yield* ofConventions), [
          series("tools/call"),
          series("tools/call", { "error.type": "failed" }),
          series("tools/call", { "error.type": "outcome_unknown" }),
          series("resources/read"),
          series("_OTHER")
        ])
        // once at once and once after having been run again
        assert.deepStrictEqual((yield* ofConventions)[series("tools/call")], [2, 4])
        assert.deepStrictEqual((yield* ofConventions)[series("_OTHER")]?.[0], 100)
      }).pipe(counting, On.isolated)
  )

  it.effect("is not of what is no operation of MCP, or of several", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", ...probe("options"), On.suppressed, On.callBegan, On.several)
      assert.deepStrictEqual(yield* ofConventions, {})
    }).pipe(counting, On.isolated)
  )
})

describe("mcp.client.session.duration", () => {
  it.effect("is of each session from its opening to its end, and says why it was lost", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      const closed = (generation: number, reason: FailureReason.FailureReason): KeepaliveEvent.Happening => ({
        _tag: "SessionClosed",
        generation,
        reason,
        detail: undefined
      })
      tell("a", On.connected(1))
      yield* TestClock.adjust("60 seconds")
      // the next one opens before the first has drained
      tell("a", On.connected(2))
      yield* TestClock.adjust("5 seconds")
      tell("a", closed(1, "closed"))
      yield* TestClock.adjust("35 seconds")
      tell("a", closed(2, "reset"), closed(2, "reset"), closed(3, "reset"))
      assert.deepStrictEqual(yield* ofConventions, {
        'mcp.client.session.duration{backend_id="a"}': [1, 65],
        'mcp.client.session.duration{backend_id="a",error.type="reset"}': [1, 40]
      })
    }).pipe(counting, On.isolated)
  )
})

describe("both", () => {
  it.effect("are not counted unless they are asked for", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", ...probe("ping"), On.connected(), On.sessionClosed("reset"))
      assert.deepStrictEqual(yield* ofConventions, {})
    }).pipe(Effect.provide(KeepaliveMetrics.layer()), On.isolated)
  )

  it.effect("end with the series of their backend", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell("a", ...probe("ping"), On.connected(), On.sessionClosed("reset"), On.changed("Connected", "Closed"))
      assert.strictEqual(Object.keys(yield* ofConventions).length, 2)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* ofConventions, {})
    }).pipe(counting, On.isolated)
  )

  it.live("come to Prometheus and to a collector under the names that OpenTelemetry has for each", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const page = yield* Effect.gen(function* () {
        const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
        const server = ScriptedServer.make()
        const backend = yield* Backend.make({ id: "a", connector: server.connector })
        yield* backend.awaitConnected
        yield* backend.probe
        yield* backend.use((client, signal) => client.callTool("echo", { signal }))
        server.kill("reset")
        yield* backend.awaitConnected
        return yield* Prometheus.read(url)
      }).pipe(
        Effect.scoped,
        Effect.provide(KeepaliveMetrics.layerOtlp({ url: collector.url })),
        Effect.provide(KeepaliveMetrics.layerPrometheus({ port: 0, conventions: true }))
      )
      assert.include(page, "# TYPE mcp_client_operation_duration_seconds histogram")
      assert.include(page, 'mcp_client_operation_duration_seconds_count{backend_id="a",mcp_method_name="ping"} 1')
      assert.include(page, 'mcp_client_operation_duration_seconds_count{backend_id="a",mcp_method_name="tools/call"} 1')
      assert.include(page, 'mcp_client_session_duration_seconds_count{backend_id="a",error_type="reset"} 1')
      assert.include(page, 'mcp_client_session_duration_seconds_bucket{backend_id="a",error_type="reset",le="300"} 1')
      const metrics = collector.exports.flatMap(({ metrics }) => metrics)
      const bounds = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]
      for (const name of ["mcp.client.operation.duration", "mcp.client.session.duration"]) {
        const metric = metrics.find((metric) => metric.name === name)
        assert.deepStrictEqual([metric?.kind, metric?.unit], ["histogram", "s"])
        assert.deepInclude(metric?.points[0]?.value, { bounds })
      }
    }).pipe(Effect.scoped, On.isolated)
  )
})
