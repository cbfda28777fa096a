/** What a collector gets, on the wire. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Logger, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { KeepaliveMetrics } from "../src/index.ts"
import * as Collector from "./collector.ts"
import * as On from "./support.ts"

let leftovers: Leftovers.Leftovers
beforeAll(async () => {
  leftovers = await Effect.runPromise(Leftovers.make())
})
afterAll(() => Effect.runPromise(leftovers.check))

const exporting = (url: string, options: Partial<KeepaliveMetrics.OtlpOptions> = {}) =>
  Effect.provide(KeepaliveMetrics.layerOtlp({ url, ...options }))

/** Every line that is logged, as text. */
const capture = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.map(Logger.formatStructured, (line) => void lines.push(`${line.level} ${JSON.stringify(line)}`))
  ])
  return { lines, layer }
}

const everything = [
  On.sent,
  On.sent,
  On.answered("3 millis"),
  On.answered("40 seconds"),
  On.missed("timeout"),
  On.suppressed,
  On.opened("reset"),
  On.connected(),
  On.refused(),
  On.connected(2),
  ...On.outcomes.map(On.called),
  On.changed("Connected", "Unhealthy")
]

const expected = (...backends: ReadonlyArray<string>): On.Figures => {
  const oracle = On.makeOracle()
  for (const backend of backends) {
    for (const happening of everything) oracle.observer({ ...happening, backend, at: 0 })
  }
  return oracle.expected()
}

const attempts = (count: number) => ({ 'vmcp_keepalive_attempt_total{backend_id="a"}': count })

// first, while no other test has left a connection that may end meanwhile
describe("the exporter", () => {
  it.live("closes its connection to the collector when it closes", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const mark = yield* Leftovers.make({ within: "1 second" })
      yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(exporting(collector.url))
      assert.strictEqual(collector.exports.length, 1)
      yield* mark.check
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("on the wire", () => {
  for (const [protocol, contentType] of [
    ["http/protobuf", "application/x-protobuf"],
    ["http/json", "application/json"]
  ] as const) {
    it.effect(`${protocol}: names, units, monotonic flags, cumulative temporality, labels and figures`, () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        yield* Effect.gen(function* () {
          const tell = yield* On.tell
          tell('a "1"', ...everything)
          tell("b", ...everything)
          const exported = yield* Effect.forkChild(collector.next)
          yield* TestClock.adjust("30 seconds")
          const { headers, metrics, path, resource, scope } = yield* Fiber.join(exported)

          assert.strictEqual(path, "/v1/metrics")
          assert.strictEqual(headers["content-type"], contentType)
          assert.strictEqual(headers["authorization"], "Bearer secret")
          assert.strictEqual(headers["x-tenant"], "t")
          assert.strictEqual(scope, "@vmcp-keepalive/otel")
          assert.deepInclude(resource, { "service.name": "gateway", "service.version": "1.2.3", zone: "north" })
          const counter = ["sum", "", 2, true]
          assert.deepStrictEqual(
            Object.fromEntries(
              metrics.map(({ kind, monotonic, name, temporality, unit }) => [
                name,
                [kind, unit, temporality, monotonic]
              ])
            ),
            {
              vmcp_keepalive_attempt_total: counter,
              vmcp_keepalive_success_total: counter,
              vmcp_keepalive_failure_total: counter,
              vmcp_keepalive_latency_seconds: ["histogram", "s", 2, undefined],
              vmcp_keepalive_auto_disabled_total: counter,
              vmcp_keepalive_suppressed_total: counter,
              vmcp_keepalive_state: ["gauge", "", undefined, undefined],
              vmcp_keepalive_reconnect_total: counter,
              vmcp_keepalive_call_total: counter
            }
          )
          for (const { description } of metrics) assert.match(description, /^\w.+/)
          assert.deepStrictEqual(Collector.figuresOf(metrics), expected('a "1"', "b"))
          const histogram = metrics.find(({ kind }) => kind === "histogram")?.points[0]
          assert.deepStrictEqual(histogram?.attributes, { backend_id: 'a "1"' })
          assert.deepStrictEqual(histogram?.value, {
            count: 2,
            sum: 40.003,
            min: 0.003,
            max: 40,
            bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
            counts: [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
          })
          for (const { points } of metrics) {
            for (const { start, time } of points) assert.deepStrictEqual([start, time], [0n, 30_000_000_000n])
          }
        }).pipe(
          exporting(collector.url, {
            protocol,
            headers: { Authorization: Redacted.make("Bearer secret"), "x-tenant": "t" },
            resource: { serviceName: "gateway", serviceVersion: "1.2.3", attributes: { zone: "north" } }
          })
        )
      }).pipe(Effect.scoped, On.isolated)
    )
  }

  it.effect("a service that nobody named has the name that OpenTelemetry gives it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(exporting(collector.url))
      assert.strictEqual(collector.exports[0]?.resource["service.name"], "unknown_service:node")
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("many series go in several messages of at most 5,000, and none is lost", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        for (let count = 0; count < 3000; count++) tell(`${count}`, On.sent, On.changed("Connecting", "Connected"))
      }).pipe(exporting(collector.url))
      assert.strictEqual(collector.exports.length, 6)
      const figures = Object.assign({}, ...collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)))
      assert.strictEqual(Object.keys(figures).length, 3000 * 10)
      for (const { metrics } of collector.exports) {
        assert.isAtMost(
          metrics.reduce((sum, { points }) => sum + points.length, 0),
          5000
        )
      }
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("a series", () => {
  it.effect("of a closed backend is exported with its last figures, and then no more; a later one is a new one", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const exported = (wait: number) =>
        Effect.gen(function* () {
          const next = yield* Effect.forkChild(collector.next)
          yield* TestClock.adjust(wait)
          return yield* Fiber.join(next)
        })
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("stays", On.suppressed)
        tell("a", On.sent)
        yield* exported(30_000)
        tell("a", On.sent, On.changed("Connected", "Closed"))
        const last = Collector.figuresOf((yield* exported(30_000)).metrics)
        assert.deepInclude(last, { ...attempts(2), ...On.stateFigures("a", "Closed") })
        yield* exported(30_000)
        assert.deepStrictEqual(Object.keys(Collector.figuresOf((yield* exported(30_000)).metrics)), [
          'vmcp_keepalive_suppressed_total{backend_id="stays"}'
        ])
        tell("a", On.sent)
        const { metrics } = yield* exported(30_000)
        assert.deepInclude(Collector.figuresOf(metrics), attempts(1))
        const started = Object.fromEntries(metrics.map(({ name, points }) => [name, points[0]?.start]))
        assert.deepStrictEqual(started, {
          vmcp_keepalive_suppressed_total: 0n,
          vmcp_keepalive_attempt_total: 120_000_000_000n
        })
      }).pipe(exporting(collector.url))
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("when the layer closes", () => {
  it.effect("what happened since the last export is exported", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        const next = yield* Effect.forkChild(collector.next)
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(next)
        tell("a", On.sent)
      }).pipe(exporting(collector.url))
      assert.deepStrictEqual(
        collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)),
        [attempts(1), attempts(2)]
      )
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("because the app is interrupted, it is exported too", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const app = yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
        Effect.andThen(Effect.never),
        exporting(collector.url),
        Effect.forkChild
      )
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(app)
      assert.deepStrictEqual(
        collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)),
        [attempts(1)]
      )
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("a collector that does not answer delays it by flushTimeout and no more, and no socket is left", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = "silent"
      const { layer, lines } = capture()
      const mark = yield* Leftovers.make()
      const began = performance.now()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* Effect.sleep("100 millis")
      }).pipe(
        exporting(collector.url, { flushTimeout: "200 millis", interval: "20 millis", timeout: "1 hour" }),
        Effect.provide(layer)
      )
      const took = performance.now() - began
      assert.isAbove(took, 290)
      assert.isBelow(took, 1000)
      assert.strictEqual(collector.requests(), 2)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], '"reason":"timeout"')
      yield* mark.check
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("a collector that takes nothing", () => {
  it.live("is no failure and no delay of the app, is said once, and loses nothing once it is there", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(Effect.map(Collector.make(), ({ port }) => port))
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* Effect.sleep("150 millis")
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0] ?? "", /^WARN .*"reason":"ECONNREFUSED"/)
        tell("a", On.sent)
        const collector = yield* Collector.make(port)
        assert.deepStrictEqual(Collector.figuresOf((yield* collector.next).metrics), attempts(2))
        yield* collector.next
        assert.strictEqual(lines.length, 2)
        assert.match(lines[1] ?? "", /^INFO .*"failed":\d/)
      }).pipe(
        Effect.scoped,
        exporting(`http://user:hunter2@127.0.0.1:${port}/v1/metrics?key=hunter2`, {
          interval: "20 millis",
          headers: { authorization: Redacted.make("hunter2") }
        }),
        Effect.provide(layer)
      )
      assert.notInclude(lines.join(), "hunter2")
    }).pipe(On.isolated)
  )

  it.effect("because it never answers, is tried again after timeout", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = "silent"
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* TestClock.adjust("30 seconds")
        yield* until(() => collector.requests() === 1)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(lines.length, 0)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(lines.length, 1)
        collector.manner = 200
        const next = yield* Effect.forkChild(collector.next)
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(Collector.figuresOf((yield* Fiber.join(next)).metrics), attempts(1))
      }).pipe(exporting(collector.url), Effect.provide(layer))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("because it refuses, is said once for all exports", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = 503
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        for (let count = 1; count <= 5; count++) {
          yield* TestClock.adjust("30 seconds")
          yield* until(() => collector.requests() === count)
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
        }
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], "status 503")
      }).pipe(exporting(collector.url), Effect.provide(layer))
      assert.strictEqual(lines.length, 1)
      assert.strictEqual(collector.requests(), 6)
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("because a header is none, is said and no defect", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { layer, lines } = capture()
      yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
        exporting(collector.url, { headers: { "x y": "hunter2\n" } }),
        Effect.provide(layer)
      )
      assert.strictEqual(lines.length, 1)
      assert.notInclude(lines.join(), "hunter2")
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("an address that is none", () => {
  for (const url of ["hunter2", "localhost:4318?key=hunter2", "ftp://hunter2@localhost/"]) {
    it.live(`fails the layer, with an error that does not repeat it: ${url}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(exporting(url)(Effect.void))
        assert.strictEqual(error._tag, "CollectorUrlError")
        assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "hunter2")
      }).pipe(On.isolated)
    )
  }
})

const until = (holds: () => boolean) =>
  Effect.promise(async () => {
    for (let tries = 0; tries < 500 && !holds(); tries++) await new Promise((resolve) => setTimeout(resolve, 2))
    assert.isTrue(holds())
  })
