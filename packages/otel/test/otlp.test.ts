/** What a collector gets, on the wire. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Leftovers, Ports } from "@vmcp-keepalive/testkit"
import { ConfigProvider, Deferred, Effect, Fiber, Logger, Redacted } from "effect"
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
  On.listed,
  On.connected(),
  On.refused(),
  On.connected(2),
  On.sessionClosed("stream_cut"),
  ...On.outcomes.flatMap((outcome) => [On.callBegan, On.called(outcome)]),
  On.callBegan,
  On.callQueued,
  On.replayDenied,
  On.sessionExpired,
  On.reconfigured(true),
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
const withState = (figures: On.Figures) => ({ ...figures, ...On.stateFigures("a", "Connecting") })

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
              vmcp_keepalive_backends: ["gauge", "", undefined, undefined],
              vmcp_keepalive_attempt_total: counter,
              vmcp_keepalive_success_total: counter,
              vmcp_keepalive_failure_total: counter,
              vmcp_keepalive_latency_seconds: ["histogram", "s", 2, undefined],
              vmcp_keepalive_auto_disabled_total: counter,
              vmcp_keepalive_suppressed_total: counter,
              vmcp_keepalive_state: ["gauge", "", undefined, undefined],
              vmcp_keepalive_session_lost_total: counter,
              vmcp_keepalive_connect_failure_total: counter,
              vmcp_keepalive_reconnect_total: counter,
              vmcp_keepalive_call_total: counter,
              vmcp_keepalive_call_duration_seconds: ["histogram", "s", 2, undefined],
              vmcp_keepalive_calls_in_flight: ["gauge", "", undefined, undefined],
              vmcp_keepalive_calls_queued: ["gauge", "", undefined, undefined],
              vmcp_keepalive_required: ["gauge", "", undefined, undefined],
              vmcp_keepalive_rejected_total: counter,
              vmcp_keepalive_replay_denied_total: counter,
              vmcp_keepalive_session_expired_total: counter,
              vmcp_keepalive_list_changes_total: counter
            }
          )
          for (const { description } of metrics) assert.match(description, /^\w.+/)
          assert.deepStrictEqual(Collector.figuresOf(metrics), expected('a "1"', "b"))
          const histogram = metrics.find(({ name }) => name === "vmcp_keepalive_latency_seconds")?.points[0]
          assert.deepStrictEqual(histogram?.attributes, { backend_id: 'a "1"' })
          assert.deepStrictEqual(histogram?.value, {
            count: 2,
            sum: 40.003,
            min: 0.003,
            max: 40,
            bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
            counts: [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
          })
          const calls = metrics.find(({ name }) => name === "vmcp_keepalive_call_duration_seconds")?.points[0]
          assert.deepStrictEqual(calls?.attributes, { backend_id: 'a "1"', outcome: "ok" })
          assert.deepStrictEqual(calls?.value, {
            count: 1,
            sum: 0.003,
            min: 0.003,
            max: 0.003,
            bounds: [0.01, 0.05, 0.2, 1, 5, 30, 120, 300],
            counts: [1, 0, 0, 0, 0, 0, 0, 0, 0]
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

  it.effect("what the environment says of the service is left out, and that is said, where it cannot be read", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { layer, lines } = capture()
      yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
        exporting(collector.url, { resource: { attributes: { zone: "north" } } }),
        Effect.provide(layer),
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { OTEL_RESOURCE_ATTRIBUTES: "a=%E0%A4%A,b" } })
        )
      )
      const resource = collector.exports[0]?.resource
      assert.deepInclude(resource, { "service.name": "unknown_service:node", zone: "north" })
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "OTEL_RESOURCE_ATTRIBUTES")
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("an interval as long as the series of a closed backend stay by default makes them stay longer", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent, On.changed("Connecting", "Closed"))
        const last = Collector.figuresOf(yield* nextExport(collector))
        assert.deepInclude(last, attempts(1))
      }).pipe(exporting(collector.url, { interval: "2 minutes" }))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("two processes of a service are told apart, unless they name themselves", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const instanceOf = (attributes: Readonly<Record<string, string>>) =>
        Effect.gen(function* () {
          yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
            exporting(collector.url, { resource: { serviceName: "gateway", attributes } })
          )
          return collector.exports.at(-1)?.resource["service.instance.id"]
        })
      const [one, two] = [yield* instanceOf({}), yield* instanceOf({})]
      assert.match(one ?? "", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.notStrictEqual(one, two)
      assert.strictEqual(yield* instanceOf({ "service.instance.id": "pod-7" }), "pod-7")
    }).pipe(Effect.scoped, On.isolated)
  )

  for (const [protocol, size] of [
    ["http/json", 5000],
    ["http/protobuf", 500]
  ] as const)
    it.effect(`${protocol}: many series go in several messages of at most ${size}, and none is lost`, () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        yield* Effect.gen(function* () {
          const tell = yield* On.tell
          // with the number of backends, six messages that are full, but for the last one
          for (let count = 1; count < (6 * size) / 10; count++)
            tell(`${count}`, On.sent, On.changed("Connecting", "Connected"))
        }).pipe(exporting(collector.url, { protocol }))
        assert.strictEqual(collector.exports.length, 6)
        const figures = Object.assign({}, ...collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)))
        assert.strictEqual(Object.keys(figures).length, 6 * size - 10)
        for (const { metrics } of collector.exports) {
          assert.isAtMost(
            metrics.reduce((sum, { points }) => sum + points.length, 0),
            size
          )
        }
      }).pipe(Effect.scoped, On.isolated)
    )
})

describe("a series", () => {
  it.effect("of a closed backend is exported with its last figures, and then no more; a later one is a new one", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("stays", On.suppressed)
        tell("a", On.sent)
        yield* nextExport(collector)
        tell("a", On.sent, On.changed("Connected", "Closed"))
        const last = Collector.figuresOf(yield* nextExport(collector))
        assert.deepInclude(last, { ...attempts(2), ...On.stateFigures("a", "Closed") })
        yield* nextExport(collector)
        yield* nextExport(collector)
        const without = yield* nextExport(collector)
        assert.deepStrictEqual(Collector.figuresOf(without), {
          'vmcp_keepalive_suppressed_total{backend_id="stays"}': 1,
          ...On.stateFigures("stays", "Connecting")
        })
        tell("a", On.started(), On.sent)
        const metrics = yield* nextExport(collector)
        assert.deepInclude(Collector.figuresOf(metrics), attempts(1))
        // not before the last time that it was not there
        assert.deepStrictEqual(startsOf(metrics, "a"), [timeOf(without)])
        assert.deepStrictEqual(startsOf(metrics, "stays"), [0n])
      }).pipe(exporting(collector.url))
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("the start of a series", () => {
  it.effect("lies before everything that it has counted, also where the exporter came later", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* TestClock.adjust("1 hour")
        yield* Effect.void.pipe(exporting(collector.url))
      }).pipe(Effect.provide(KeepaliveMetrics.layer()))
      assert.deepStrictEqual(startsOf(collector.exports[0]?.metrics ?? [], "a"), [0n])
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("lies after the last figure of its predecessor, also where an export failed half way", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        // 10 series each, more than one message has room for: what is in the first arrives, the rest does not
        for (let count = 0; count < 550; count++) tell(`${count}`, On.sent)
        collector.manner = [200, 500]
        const arrived = yield* nextExport(collector)
        assert.deepStrictEqual(startsOf(arrived, "0"), [0n])
        tell("0", On.changed("Connected", "Closed"))
        for (let count = 0; count < 4; count++) yield* nextRequest(collector)
        collector.manner = 200
        tell("0", On.started(), On.sent)
        const [start = 0n] = startsOf(yield* nextExport(collector), "0")
        assert.isTrue(start > timeOf(arrived))
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
        yield* nextExport(collector)
        tell("a", On.sent)
      }).pipe(exporting(collector.url))
      assert.deepStrictEqual(
        collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)),
        [attempts(1), attempts(2)].map(withState)
      )
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("because the app is interrupted, it is exported too", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const told = yield* Deferred.make<void>()
      const app = yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
        Effect.andThen(Deferred.succeed(told, undefined)),
        Effect.andThen(Effect.never),
        exporting(collector.url),
        Effect.forkChild
      )
      yield* Deferred.await(told)
      yield* Fiber.interrupt(app)
      assert.deepStrictEqual(
        collector.exports.map(({ metrics }) => Collector.figuresOf(metrics)),
        [withState(attempts(1))]
      )
    }).pipe(Effect.scoped, On.isolated)
  )

  it.live("a collector that does not answer delays it by flushTimeout and no more, and no socket is left", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = "silent"
      const { layer, lines } = capture()
      const mark = yield* Leftovers.make()
      let began = 0
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* until(() => collector.requests() === 1)
        began = performance.now()
      }).pipe(
        exporting(collector.url, { flushTimeout: "200 millis", interval: "20 millis", timeout: "1 hour" }),
        Effect.provide(layer)
      )
      const took = performance.now() - began
      assert.isAtLeast(took, 190)
      assert.isBelow(took, 10_000)
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
      const port = yield* Ports.free
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* until(() => lines.length > 0)
        assert.match(lines[0] ?? "", /^WARN .*"reason":"ECONNREFUSED"/)
        tell("a", On.sent)
        const collector = yield* Collector.make(port)
        assert.deepStrictEqual(Collector.figuresOf((yield* collector.next).metrics), withState(attempts(2)))
        yield* until(() => lines.length > 1)
        assert.match(lines[1] ?? "", /^INFO .*"failed":\d/)
        yield* collector.next
        assert.strictEqual(lines.length, 2)
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
        yield* until(() => lines.length > 0)
        assert.strictEqual(lines.length, 1)
        collector.manner = 200
        assert.deepStrictEqual(Collector.figuresOf(yield* nextExport(collector)), withState(attempts(1)))
      }).pipe(exporting(collector.url), Effect.provide(layer))
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("because it rejects some of it, is said, in our words", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = "partial"
      const { layer, lines } = capture()
      yield* Effect.flatMap(On.tell, (tell) => Effect.sync(() => tell("a", On.sent))).pipe(
        exporting(collector.url),
        Effect.provide(layer)
      )
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "rejected data points: 9")
      assert.notInclude(lines[0], "hunter2")
    }).pipe(Effect.scoped, On.isolated)
  )

  it.effect("because it refuses, is said once an outage, and so is its end", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        for (const [answer, told] of [
          [500, 1],
          [500, 1],
          [500, 1],
          [200, 2],
          [200, 2],
          [500, 3],
          [500, 3],
          [200, 4]
        ] as const) {
          collector.manner = answer
          yield* nextRequest(collector)
          yield* until(() => lines.length >= told)
        }
        assert.deepStrictEqual(
          lines.map((line) => line.replace(/ .*"annotations":/, " ").replace(/,"spans".*$/, "")),
          ['WARN {"reason":"status 500"}', 'INFO {"failed":3}', 'WARN {"reason":"status 500"}', 'INFO {"failed":2}']
        )
      }).pipe(exporting(collector.url), Effect.provide(layer))
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("what may arrive if it is sent again", () => {
  /** Lets time go on until so many requests have come, but not while one is under way; how long that took, in seconds. */
  const secondsUntil = Effect.fnUntraced(function* (collector: Collector.Collector, requests: number, most = 3600) {
    let seconds = 0
    for (; collector.requests() < requests; seconds++) {
      if (seconds > most) return assert.fail(`not within ${most} seconds`)
      yield* TestClock.adjust("1 second")
      yield* collector.quiet
    }
    return seconds
  })

  /** What is told of a collector that answers like this, and after how many seconds its requests came. */
  const told = (manner: Collector.Manner, requests: number, options: Partial<KeepaliveMetrics.OtlpOptions> = {}) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const { layer, lines } = capture()
      const times: Array<number> = []
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        collector.manner = manner
        for (let count = 1; count <= requests; count++) {
          times.push(yield* secondsUntil(collector, count))
        }
        const isLast = () => collector.exports.length + lines.length > 0
        yield* until(isLast)
        collector.manner = 200
      }).pipe(exporting(collector.url, options), Effect.provide(layer))
      return { exports: collector.exports, lines, times }
    }).pipe(Effect.scoped, On.isolated)

  it.effect.each([429, 502, 503, 504])(
    "is after %d: at once as far as anybody is told, and nothing is logged",
    (status) =>
      Effect.gen(function* () {
        const { exports, lines, times } = yield* told([status, status, 200], 3)
        assert.deepStrictEqual(Collector.figuresOf(exports[0]?.metrics ?? []), withState(attempts(1)))
        assert.deepStrictEqual(lines, [])
        assert.strictEqual(times[0], 30)
        // 1 second and 2, and up to half of it more; both clocks tick in whole seconds here
        assert.isAtLeast(times[1] ?? 0, 1)
        assert.isAtMost(times[1] ?? 0, 3)
        assert.isAtLeast(times[2] ?? 0, 2)
        assert.isAtMost(times[2] ?? 0, 4)
      })
  )

  it.effect.each([400, 401, 404, 413, 500])("is not after %d", (status) =>
    Effect.gen(function* () {
      const { lines, times } = yield* told([status, 200], 1)
      assert.match(lines[0] ?? "", new RegExp(`^WARN .*"reason":"status ${status}"`))
      assert.deepStrictEqual(times, [30])
    })
  )

  it.effect("is three times at most, and then said", () =>
    Effect.gen(function* () {
      const { lines, times } = yield* told(503, 4)
      assert.strictEqual(times.length, 4)
      assert.match(lines[0] ?? "", /^WARN .*"reason":"status 503"/)
    })
  )

  it.effect.each([
    ["seconds", "12"],
    ["a date", "Thu, 01 Jan 1970 00:00:42 GMT"]
  ] as const)("is not before the Retry-After of the collector, in %s", ([, retryAfter]) =>
    Effect.gen(function* () {
      const { lines, times } = yield* told([{ status: 503, retryAfter }, 200], 2)
      assert.deepStrictEqual(lines, [])
      assert.isAtLeast(times[1] ?? 0, 12)
      assert.isAtMost(times[1] ?? 0, 13)
    })
  )

  it.effect.each([
    ["a time beyond the next export", "100", 100],
    ["a day", "86400", 600],
    ["no end of it", "9".repeat(400), 600]
  ] as const)("is with newer figures where it asks for %s, 10 minutes at most", ([, retryAfter, seconds]) =>
    Effect.gen(function* () {
      const { times } = yield* told([{ status: 429, retryAfter }, 200], 2)
      assert.isAtLeast(times[1] ?? 0, seconds)
      assert.isAtMost(times[1] ?? 0, seconds + 1)
    })
  )

  it.live("is sent once more when the layer closes, however long the collector wants to be left alone", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      collector.manner = { status: 503, retryAfter: "86400" }
      const { layer, lines } = capture()
      yield* Effect.gen(function* () {
        const tell = yield* On.tell
        tell("a", On.sent)
        yield* until(() => lines.length > 0)
        collector.manner = 200
      }).pipe(exporting(collector.url, { interval: "20 millis" }), Effect.provide(layer))
      assert.strictEqual(collector.requests(), 2)
      assert.deepStrictEqual(Collector.figuresOf(collector.exports[0]?.metrics ?? []), withState(attempts(1)))
    }).pipe(Effect.scoped, On.isolated)
  )
})

describe("a compressed export", () => {
  it.effect.each(["http/json", "http/protobuf"] as const)(
    "%s: is gzip, says so, and holds the same in less than a fifth",
    (protocol) =>
      Effect.gen(function* () {
        const collector = yield* Collector.make()
        for (const compression of ["none", "gzip"] as const) {
          yield* Effect.gen(function* () {
            const tell = yield* On.tell
            for (let count = 0; count < 30; count++) tell(`backend-${count}`, ...everything)
          }).pipe(exporting(collector.url, { compression, protocol }), On.isolated)
        }
        const [plain, short] = [collector.exports[0], collector.exports.at(-1)]
        assert(plain !== undefined && short !== undefined)
        assert.deepStrictEqual(
          [plain, short].map(({ headers }) => headers["content-encoding"]),
          [undefined, "gzip"]
        )
        assert.isBelow(short.raw.length, plain.raw.length / 5)
        const all = (compression: string | undefined) =>
          Object.assign(
            {},
            ...collector.exports
              .filter(({ headers }) => headers["content-encoding"] === compression)
              .map(({ metrics }) => Collector.figuresOf(metrics))
          )
        assert.deepStrictEqual(all("gzip"), all(undefined))
      }).pipe(Effect.scoped)
  )
})

describe("options that cannot work", () => {
  const right = { url: "http://localhost:4318/v1/metrics" }
  const wrong: ReadonlyArray<readonly [KeepaliveMetrics.OtlpOptions, ReadonlyArray<string>]> = [
    [{ url: "hunter2" }, ["url"]],
    [{ url: "localhost:4318?key=hunter2" }, ["url"]],
    [{ url: "ftp://hunter2@localhost/" }, ["url"]],
    [{ ...right, headers: { "x y": "z" } }, ["headers.x"]],
    [{ ...right, headers: { "Authorization: Bearer hunter2": "" } }, ["headers.Authorization"]],
    [{ ...right, headers: { authorization: Redacted.make("hunter2\n") } }, ["headers.authorization"]],
    [JSON.parse('{"url":"http://localhost/","compression":"br","protocol":"grpc"}'), ["compression", "protocol"]],
    [{ ...right, interval: 0, timeout: 0, flushTimeout: -1 }, ["interval", "timeout", "flushTimeout"]],
    // the last figures of a backend would be gone before they are exported
    [{ ...right, interval: "1 minute", removeAfter: "1 minute" }, ["interval"]],
    [{ ...right, interval: "10 seconds", removeAfter: "10 seconds" }, ["interval"]]
  ]
  for (const [options, paths] of wrong) {
    it.live(`fail the layer, all at once, with an error that repeats no value: ${paths.join(", ")}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.provide(Effect.void, KeepaliveMetrics.layerOtlp(options)))
        assert.strictEqual(error._tag, "TelemetryConfigurationError")
        assert.deepStrictEqual(
          error.issues.map(({ path }) => path.join(".")),
          paths
        )
        assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "hunter2")
      }).pipe(On.isolated)
    )
  }
})

/** Time goes on, little by little, since the exporter rests from when it has read the last answer. */
const nextRequest = (collector: Collector.Collector) =>
  Effect.gen(function* () {
    const before = collector.requests()
    while (collector.requests() === before) {
      yield* TestClock.adjust("1 second")
      yield* collector.quiet
    }
  })

/** What arrives next. */
const nextExport = (collector: Collector.Collector) =>
  Effect.gen(function* () {
    const before = collector.exports.length
    yield* nextRequest(collector)
    yield* until(() => collector.exports.length > before)
    return collector.exports[before]?.metrics ?? []
  })

/** When the series of a backend began. */
const startsOf = (metrics: Collector.Export["metrics"], backend: string) => [
  ...new Set(
    metrics.flatMap(({ points }) =>
      points.flatMap(({ attributes, start }) => (attributes["backend_id"] === backend ? [start] : []))
    )
  )
]

const timeOf = (metrics: Collector.Export["metrics"]) => metrics[0]?.points[0]?.time ?? 0n

/** Looks again until it holds; that it ever does is what the bound of the test is for. */
const until = (holds: () => boolean) =>
  Effect.promise(async () => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
  })
