/** A whole backend of the core, driven through faults, and what is said of it. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Layer, Logger, Metric, Random, References, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveLog, KeepaliveMetrics } from "../src/index.ts"
import * as Collector from "./collector.ts"
import * as On from "./support.ts"

let leftovers: Leftovers.Leftovers
beforeAll(async () => {
  leftovers = await Effect.runPromise(Leftovers.make())
})
afterAll(() => Effect.runPromise(leftovers.check))

const faults: ReadonlyArray<(server: ScriptedServer.ScriptedServer) => void> = [
  ({ script }) => void (script.probe = ScriptedServer.silence),
  ({ script }) => void (script.probe = ScriptedServer.refuse(503)),
  ({ script }) => void (script.probe = ScriptedServer.refuse(401)),
  ({ script }) => void (script.connect = ScriptedServer.unreachable("dns")),
  ({ script }) => void (script.connect = ScriptedServer.refuse(401)),
  ({ script }) => void (script.connect = ScriptedServer.silence),
  ({ script }) => void (script.call = () => ScriptedServer.cut),
  ({ script }) => void (script.call = () => ScriptedServer.error(-32603)),
  (server) => server.forgetSessions(),
  (server) => server.kill("process_exit"),
  ({ script }) => {
    script.connect = ScriptedServer.answer
    script.probe = ScriptedServer.answer
    script.call = () => ScriptedServer.answer
  }
]

describe("metrics of 20 backends whose servers fail in every way for hours", () => {
  it.effect("equal what their events said, at any time, and their states are those of the backends", () => {
    const oracle = On.makeOracle()
    return Effect.gen(function* () {
      const servers = Array.from({ length: 20 }, () => ScriptedServer.make())
      const scope = yield* Scope.make()
      const backends = yield* Effect.forEach(servers, ({ connector }, index) =>
        Scope.provide(
          Backend.make({
            id: `backend ${index}`,
            connector,
            policy: { interval: "30 seconds", circuit: { failures: 2 }, connect: index % 4 === 0 ? "lazy" : "eager" }
          }),
          scope
        )
      )
      const pick = <A>(items: ReadonlyArray<A>) =>
        Effect.map(Random.nextIntBetween(0, items.length - 1), (index) => items[index] ?? assert.fail("out of range"))
      const seen = new Set<string>()
      for (let round = 0; round < 150; round++) {
        const fault = yield* pick(faults)
        fault(yield* pick(servers))
        for (let count = 0; count < 5; count++) {
          const backend = yield* pick(backends)
          yield* Effect.forkIn(Effect.exit(backend.use((client, signal) => client.callTool("echo", { signal }))), scope)
        }
        yield* TestClock.adjust((yield* Random.nextIntBetween(1, 60)) * 1000)
        const figures = yield* On.figures
        assert.deepStrictEqual(figures, oracle.expected())
        for (const { id, state } of backends) {
          const { _tag } = yield* state
          const series = On.seriesName("vmcp_keepalive_state", { backend_id: id, state: _tag })
          assert.strictEqual(figures[series], 1, series)
        }
        for (const series of Object.keys(figures)) seen.add(series.replace(/backend_id="[^"]+",?/, ""))
      }
      for (const name of ["failure_total", "auto_disabled_total", "suppressed_total", "success_total"]) {
        assert.isTrue(
          [...seen].some((series) => series.startsWith(`vmcp_keepalive_${name}`)),
          name
        )
      }
      for (const outcome of ["ok", "failed", "rejected", "outcome_unknown"]) {
        assert.isTrue(seen.has(`vmcp_keepalive_call_total{outcome="${outcome}"}`), outcome)
      }
      for (const outcome of ["ok", "failed"]) {
        assert.isTrue(seen.has(`vmcp_keepalive_reconnect_total{outcome="${outcome}"}`), outcome)
      }

      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* On.figures, oracle.expected())
      for (const { id } of backends) assert.deepInclude(yield* On.figures, On.stateFigures(id, "Closed"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* On.figures, {})
    }).pipe(
      Random.withSeed("faults"),
      Effect.provide(KeepaliveMetrics.layer()),
      Effect.provide(KeepaliveEvent.layerObserver(oracle.observer)),
      On.isolated
    )
  })
})

describe("what a server writes, a call fails with or a tool is named", () => {
  it.live("reaches the caller, and no metric, log line or export; of events only the names of tools", () => {
    const secret = "hunter2"
    const lines: Array<string> = []
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const logger = Logger.map(Logger.formatStructured, (line) => void lines.push(JSON.stringify(line)))
    return Effect.gen(function* () {
      const collector = yield* Collector.make()
      const layers = Layer.mergeAll(
        KeepaliveLog.layer(),
        KeepaliveMetrics.layerPrometheus({ port: 0 }),
        KeepaliveMetrics.layerOtlp({ url: collector.url, headers: { authorization: secret } }),
        KeepaliveEvent.layerObserver((event) => void events.push(event))
      )
      const dump = yield* Effect.gen(function* () {
        const server = ScriptedServer.make()
        const detail = { summary: "exit code 1", output: [`token ${secret}`] }
        server.script.tools = [{ name: `tool-${secret}`, readOnly: true, idempotent: true }]
        const backend = yield* Backend.make({
          id: "a",
          connector: server.connector,
          policy: { circuit: { failures: 1 } }
        })
        yield* backend.awaitConnected
        const failed = yield* Effect.flip(backend.use(() => Promise.reject(new Error(secret))))
        if (failed._tag !== "CallFailed") return assert.fail(failed._tag)
        assert.include(String(failed.cause), secret)
        yield* Effect.repeat(backend.lists, {
          until: ({ tools }) => tools.length === 1,
          schedule: Schedule.spaced("5 millis")
        })
        yield* backend.reconnect
        server.script.connect = ScriptedServer.unreachable("process_exit", detail)
        server.kill("process_exit", detail)
        yield* backend.changes.pipe(
          Stream.filter(({ _tag }) => _tag === "CircuitOpen"),
          Stream.runHead
        )
        const rejected = yield* Effect.flip(backend.use((client) => client.callTool("echo")))
        assert.include(JSON.stringify({ ...rejected }), secret)
        const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
        return yield* Effect.promise(() => fetch(url, { headers: { connection: "close" } }).then((page) => page.text()))
      }).pipe(Effect.scoped, Effect.provide(layers))

      const exported = collector.exports.map(({ raw }) => raw.toString()).join("\n")
      assert.include(dump, 'vmcp_keepalive_state{backend_id="a",state="CircuitOpen"} 1')
      assert.include(exported, "vmcp_keepalive_auto_disabled_total")
      assert.include(lines.join("\n"), '"detail":"exit code 1"')
      assert.notInclude(dump, secret)
      assert.notInclude(exported, secret)
      assert.notInclude(lines.join("\n"), secret)
      const others = events.filter(({ _tag }) => _tag !== "ListChanged")
      assert.isBelow(others.length, events.length)
      assert.notInclude(JSON.stringify(others), secret)
      assert.isEmpty(yield* Metric.snapshot)
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug"),
      On.isolated
    )
  })
})
