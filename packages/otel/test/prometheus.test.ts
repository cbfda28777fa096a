/** The endpoint that Prometheus scrapes, over real sockets. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Context, Effect, Exit, Layer, Metric, Scope } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import * as os from "node:os"
import { KeepaliveMetrics } from "../src/index.ts"
import * as Endpoint from "../src/internal/endpoint.ts"
import * as On from "./support.ts"

let leftovers: Leftovers.Leftovers
beforeAll(async () => {
  leftovers = await Effect.runPromise(Leftovers.make())
})
afterAll(() => Effect.runPromise(leftovers.check))

interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

const ask = (url: string, options: http.RequestOptions = {}): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = http.request(url, { agent: false, ...options }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part) => (text += part))
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text }))
      )
    })
    request.on("error", (error) => resume(Effect.fail(error)))
    request.end()
  })

/** Reads the text format: series, and of every family its type and help. */
const parse = (text: string) => {
  const samples: On.Figures = {}
  const types: Record<string, string> = {}
  const helps: Record<string, string> = {}
  const order: Array<string> = []
  assert.isTrue(text === "" || text.endsWith("\n"))
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment
      assert.notProperty(kind === "TYPE" ? types : helps, name)
      if (kind === "TYPE") types[name] = rest
      else helps[name] = rest
      continue
    }
    const sample = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line)
    if (sample === null) return assert.fail(`not a sample: ${line}`)
    const [, name = "", labels = "", value = ""] = sample
    assert.notProperty(samples, name + labels)
    samples[name + labels] = Number(value)
    const family = name.replace(/_(bucket|sum|count)$/, "")
    if (order.at(-1) !== family) order.push(family)
  }
  assert.strictEqual(new Set(order).size, order.length, "the samples of a family stand together")
  return { samples, types, helps }
}

const scrape = Effect.flatMap(KeepaliveMetrics.PrometheusEndpoint, ({ url }) => ask(url))
const serving = (options: Partial<KeepaliveMetrics.PrometheusOptions> = {}) =>
  Effect.provide(KeepaliveMetrics.layerPrometheus({ port: 0, ...options }))

describe("the endpoint", () => {
  it.live("serves every figure, with type and help, under the names of the table and no other label", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      yield* Metric.update(Metric.counter("of_the_app_total"), 7)
      assert.strictEqual(parse((yield* scrape).text).samples["of_the_app_total"], undefined)
      tell("a", On.sent, On.sent, On.answered("3 millis"), On.missed("timeout"), On.suppressed, On.opened("reset"))
      tell("a", On.connected(), On.sessionClosed("reset"), On.refused(), On.callBegan, On.callBegan)
      tell(
        "a",
        On.called("replayed"),
        On.listed,
        On.callQueued,
        On.callQueued,
        On.callDequeued,
        On.replayDenied,
        On.sessionExpired,
        On.reconfigured(true)
      )
      tell("a", On.changed("Connected", "CircuitOpen"))
      const { headers, status, text } = yield* scrape
      assert.strictEqual(status, 200)
      assert.strictEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
      const { helps, samples, types } = parse(text)
      assert.deepStrictEqual(types, {
        vmcp_keepalive_backends: "gauge",
        vmcp_keepalive_attempt_total: "counter",
        vmcp_keepalive_success_total: "counter",
        vmcp_keepalive_failure_total: "counter",
        vmcp_keepalive_latency_seconds: "histogram",
        vmcp_keepalive_auto_disabled_total: "counter",
        vmcp_keepalive_suppressed_total: "counter",
        vmcp_keepalive_state: "gauge",
        vmcp_keepalive_session_lost_total: "counter",
        vmcp_keepalive_connect_failure_total: "counter",
        vmcp_keepalive_reconnect_total: "counter",
        vmcp_keepalive_call_total: "counter",
        vmcp_keepalive_call_duration_seconds: "histogram",
        vmcp_keepalive_calls_in_flight: "gauge",
        vmcp_keepalive_calls_queued: "gauge",
        vmcp_keepalive_required: "gauge",
        vmcp_keepalive_replay_denied_total: "counter",
        vmcp_keepalive_session_expired_total: "counter",
        vmcp_keepalive_list_changes_total: "counter"
      })
      assert.deepStrictEqual(Object.keys(helps).toSorted(), Object.keys(types).toSorted())
      const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, "+Inf"]
      const boundsOfCalls = [0.01, 0.05, 0.2, 1, 5, 30, 120, 300, "+Inf"]
      assert.deepStrictEqual(samples, {
        vmcp_keepalive_backends: 1,
        'vmcp_keepalive_attempt_total{backend_id="a"}': 2,
        'vmcp_keepalive_success_total{backend_id="a"}': 1,
        'vmcp_keepalive_failure_total{backend_id="a",reason="timeout"}': 1,
        ...Object.fromEntries(
          bounds.map((bound, index) => [
            `vmcp_keepalive_latency_seconds_bucket{backend_id="a",le="${bound}"}`,
            index < 2 ? 0 : 1
          ])
        ),
        'vmcp_keepalive_latency_seconds_sum{backend_id="a"}': 0.003,
        'vmcp_keepalive_latency_seconds_count{backend_id="a"}': 1,
        'vmcp_keepalive_auto_disabled_total{backend_id="a",reason="reset"}': 1,
        'vmcp_keepalive_suppressed_total{backend_id="a"}': 1,
        'vmcp_keepalive_session_lost_total{backend_id="a",reason="reset"}': 1,
        'vmcp_keepalive_connect_failure_total{backend_id="a",reason="refused"}': 1,
        'vmcp_keepalive_reconnect_total{backend_id="a",outcome="failed"}': 1,
        'vmcp_keepalive_call_total{backend_id="a",outcome="replayed"}': 1,
        ...Object.fromEntries(
          boundsOfCalls.map((bound) => [
            `vmcp_keepalive_call_duration_seconds_bucket{backend_id="a",outcome="replayed",le="${bound}"}`,
            1
          ])
        ),
        'vmcp_keepalive_call_duration_seconds_sum{backend_id="a",outcome="replayed"}': 0.003,
        'vmcp_keepalive_call_duration_seconds_count{backend_id="a",outcome="replayed"}': 1,
        'vmcp_keepalive_calls_in_flight{backend_id="a"}': 1,
        'vmcp_keepalive_calls_queued{backend_id="a"}': 1,
        'vmcp_keepalive_required{backend_id="a"}': 1,
        'vmcp_keepalive_replay_denied_total{backend_id="a"}': 1,
        'vmcp_keepalive_session_expired_total{backend_id="a"}': 1,
        'vmcp_keepalive_list_changes_total{backend_id="a",change="added",kind="tools"}': 2,
        'vmcp_keepalive_list_changes_total{backend_id="a",change="changed",kind="tools"}': 1,
        ...On.stateFigures("a", "CircuitOpen")
      })
    }).pipe(serving(), On.isolated)
  )

  it.live("writes whatever stands in an id so that it can be read back", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      tell('a "b" \\ c\nd{e="f"} 1', On.sent)
      assert.strictEqual(
        (yield* scrape).text.split("\n").at(-2),
        String.raw`vmcp_keepalive_attempt_total{backend_id="a \"b\" \\ c\nd{e=\"f\"} 1"} 1`
      )
    }).pipe(serving(), On.isolated)
  )

  it.live("counts dropped events without a label", () =>
    Effect.gen(function* () {
      const tell = yield* On.tell
      for (const backend of ["a", "b", "c"]) tell(backend, On.sent)
      assert.strictEqual(parse((yield* scrape).text).samples["vmcp_keepalive_dropped_total"], 4)
    }).pipe(serving({ maxBackends: 1 }), On.isolated)
  )

  it.live("answers HEAD, refuses other methods and knows no other page", () =>
    Effect.gen(function* () {
      const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
      const tell = yield* On.tell
      tell("a", On.sent)
      const head = yield* ask(url, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [200, ""])
      assert.strictEqual(head.headers["content-type"], (yield* scrape).headers["content-type"])
      assert.strictEqual((yield* ask(url, { method: "POST" })).status, 405)
      assert.strictEqual((yield* ask(new URL("/", url).href)).status, 404)
      assert.strictEqual((yield* ask(new URL("/metrics/x", url).href)).status, 404)
      assert.strictEqual((yield* ask(`${url}?name=up`)).status, 200)
    }).pipe(serving(), On.isolated)
  )
})

describe("a page of 3,000 backends", () => {
  it.live("is whole, fits together although it is read slowly, and whoever hangs up does no harm", () =>
    Effect.gen(function* () {
      const { port, url } = yield* KeepaliveMetrics.PrometheusEndpoint
      const tell = yield* On.tell
      for (let count = 0; count < 3000; count++) tell(`${count}`, On.sent, On.changed("Connecting", "Connected"))
      const slow = net.connect(port, "127.0.0.1")
      slow.write("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
      yield* Effect.callback<void>((resume) => {
        slow.once("data", () => {
          slow.pause()
          resume(Effect.void)
        })
      })
      for (let count = 0; count < 3000; count++) tell(`${count}`, On.sent, On.changed("Connected", "Unhealthy"))
      const { samples } = parse((yield* ask(url)).text)
      assert.strictEqual(Object.keys(samples).length, 3000 * 10 + 1)
      assert.deepInclude(samples, On.stateFigures("2999", "Unhealthy"))
      const parts: Array<string> = []
      slow.setEncoding("utf8")
      yield* Effect.callback<void>((resume) => {
        slow.on("data", (part) => parts.push(String(part)))
        slow.once("end", () => resume(Effect.void))
        slow.resume()
      })
      const before = parts.join("")
      assert.include(before, 'state="Connected"} 1')
      assert.notInclude(before, 'state="Unhealthy"} 1')
      slow.destroy()
      assert.strictEqual((yield* ask(url)).status, 200)
    }).pipe(serving(), On.isolated)
  )
})

describe("a page in many parts", () => {
  it.live("lets everything else in this process go on between them, however fast it is read", () =>
    Effect.gen(function* () {
      let turns = 0
      const seen: Array<number> = []
      let counting = true
      const turn = () => {
        turns++
        if (counting) setImmediate(turn)
      }
      turn()
      const port = yield* Endpoint.serve({
        host: "127.0.0.1",
        port: 0,
        path: "/",
        writeTimeout: 10_000,
        contentType: "text/plain",
        *body() {
          for (let part = 0; part < 20; part++) {
            seen.push(turns)
            yield "x"
          }
        }
      })
      assert.strictEqual((yield* ask(`http://127.0.0.1:${port}/`)).text, "x".repeat(20))
      counting = false
      assert.strictEqual(new Set(seen).size, 20)
    }).pipe(Effect.scoped)
  )
})

describe("where it listens", () => {
  it.live("port 0 is any free one, and the real one can be read", () =>
    Effect.gen(function* () {
      const { host, port, url } = yield* KeepaliveMetrics.PrometheusEndpoint
      assert.isAbove(port, 0)
      assert.strictEqual(host, "127.0.0.1")
      assert.strictEqual(url, `http://127.0.0.1:${port}/metrics`)
      assert.strictEqual((yield* ask(url)).status, 200)
    }).pipe(serving(), On.isolated)
  )

  it.live("no other machine can read, unless a host says so", () => {
    const outside = Object.values(os.networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === "IPv4" && !internal)
    const from = (port: number) => Effect.exit(ask(`http://${outside?.address ?? "127.0.0.2"}:${port}/metrics`))
    return Effect.gen(function* () {
      const inside = yield* Effect.flatMap(KeepaliveMetrics.PrometheusEndpoint, ({ port }) => from(port)).pipe(
        serving()
      )
      assert.isTrue(Exit.isFailure(inside))
      const all = yield* Effect.flatMap(KeepaliveMetrics.PrometheusEndpoint, ({ port }) => from(port)).pipe(
        serving({ host: "0.0.0.0" })
      )
      assert.isTrue(Exit.isSuccess(all))
    }).pipe(On.isolated)
  })

  it.live("a port in use is an error that names it, and leaves nothing open", () =>
    Effect.gen(function* () {
      const { port } = yield* KeepaliveMetrics.PrometheusEndpoint
      const error = yield* Effect.flip(Effect.provide(Effect.void, KeepaliveMetrics.layerPrometheus({ port })))
      assert.instanceOf(error, KeepaliveMetrics.MetricsEndpointError)
      assert.deepInclude({ ...error }, { _tag: "MetricsEndpointError", reason: "port_in_use", port, host: "127.0.0.1" })
      assert.include(error.message, String(port))
    }).pipe(serving(), On.isolated)
  )

  it.live("an address of IPv6 stands in brackets in the url", () =>
    Effect.gen(function* () {
      const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
      assert.match(url, /^http:\/\/\[::1\]:\d+\/metrics$/)
      assert.strictEqual((yield* ask(url)).status, 200)
    }).pipe(serving({ host: "::1" }), On.isolated)
  )

  it.live("options that cannot work are an error, all at once, before anything listens", () =>
    Effect.gen(function* () {
      const layer = KeepaliveMetrics.layerPrometheus({ port: 70_000, host: "", maxBackends: 0 })
      const error = yield* Effect.flip(Effect.provide(Effect.void, layer))
      assert(error._tag === "TelemetryConfigurationError")
      assert.deepStrictEqual(
        error.issues.map(({ path }) => path),
        [["maxBackends"], ["port"], ["host"]]
      )
    }).pipe(On.isolated)
  )

  const wrong = [
    ["a host that does not exist", { port: 0, host: "no-such-host.invalid" }, "no_such_host"],
    ["an address of another machine", { port: 0, host: "192.0.2.1" }, "no_such_host"]
  ] as const
  for (const [name, options, reason] of wrong) {
    it.live(`${name} is an error too: ${reason}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.provide(Effect.void, KeepaliveMetrics.layerPrometheus(options)))
        assert(error._tag === "MetricsEndpointError")
        assert.strictEqual(error.reason, reason)
      }).pipe(On.isolated)
    )
  }
})

describe("when the layer closes", () => {
  it.live("the port is free, and connections that sent nothing or half a request are closed", () =>
    Effect.gen(function* () {
      const mark = yield* Leftovers.make()
      const closed: Array<string> = []
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(KeepaliveMetrics.layerPrometheus({ port: 0 }), scope)
      const { port, url } = Context.get(context, KeepaliveMetrics.PrometheusEndpoint)
      for (const [name, text] of [
        ["silent", ""],
        ["half", "GET /metr"]
      ] as const) {
        const socket = net.connect(port, "127.0.0.1")
        socket.on("error", () => {}).on("close", () => closed.push(name))
        socket.write(text)
        yield* Effect.callback<void>((resume) => void socket.once("connect", () => resume(Effect.void)))
      }
      // connections are taken in their order
      yield* ask(url)
      assert.isNotEmpty(yield* mark.list)

      yield* Effect.timeout(Scope.close(scope, Exit.void), "1 second")
      yield* mark.check
      assert.deepStrictEqual(closed.toSorted(), ["half", "silent"])
      const again = KeepaliveMetrics.layerPrometheus({ port })
      assert.strictEqual((yield* Effect.provide(scrape, again)).status, 200)
    }).pipe(On.isolated)
  )
})
