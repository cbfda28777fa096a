/** What many who ask at once, and those who ask badly, may take of the process that has the metrics page. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Deferred, Effect, Fiber } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import { KeepaliveMetrics } from "../src/index.ts"
import * as Connections from "../src/internal/connections.ts"
import * as Endpoint from "../src/internal/endpoint.ts"
import * as On from "./support.ts"

let leftovers: Leftovers.Leftovers
beforeAll(async () => {
  leftovers = await Effect.runPromise(Leftovers.make())
})
afterAll(() => Effect.runPromise(leftovers.check))

/** The page, and its status. */
const ask = (port: number, headers: http.OutgoingHttpHeaders = {}) =>
  Effect.callback<
    { readonly status: number; readonly text: string; readonly headers: http.IncomingHttpHeaders },
    Error
  >((resume) => {
    http
      .get({ port, host: "127.0.0.1", path: "/metrics", agent: false, headers }, (response) => {
        const { headers, statusCode: status = 0 } = response
        let text = ""
        response.setEncoding("utf8").on("data", (part) => (text += part))
        response.on("end", () => resume(Effect.succeed({ status, text, headers })))
      })
      .on("error", (error) => resume(Effect.fail(error)))
  })

/** A connection on which something has been sent, as soon as it has been answered or, with `answered: false`, opened. */
const connect = (port: number, text: string, { answered = true } = {}) =>
  Effect.acquireRelease(
    Effect.callback<net.Socket>((resume) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.write(text)
        if (!answered) resume(Effect.succeed(socket.resume()))
      })
      socket.on("error", () => {})
      if (answered) socket.once("data", () => resume(Effect.succeed(socket.pause())))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const closed = (socket: net.Socket) =>
  socket.closed ? Effect.void : Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void)))

const get = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
const many = 400
/** in as many parts, more than the operating system keeps for a reader */
const tooMuch = 40 * 1024

/** A page that begins with how often it was rendered. */
const counted = ({ partSize = 1024, ...options }: Partial<Endpoint.Options> & { readonly partSize?: number } = {}) => {
  const seen = { renderings: 0 }
  function* body() {
    yield `${++seen.renderings}\n`
    for (let part = 0; part < many; part++) yield "x".repeat(partSize)
  }
  const defaults = { host: "127.0.0.1", port: 0, path: "/metrics", writeTimeout: 10_000, contentType: "text/plain" }
  return Effect.map(Endpoint.serve({ ...defaults, body, ...options }), (port) => ({ port, seen }))
}

const numberOf = ({ text }: { readonly text: string }) => Number(text.slice(0, text.indexOf("\n")))

describe("those who ask at once", () => {
  it.live("share a page: one is being rendered, the next one is everyone else's", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* counted()
      const pages = yield* Effect.all(
        Array.from({ length: 20 }, () => ask(port)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(pages.map(({ text }) => text.length)), new Set([2 + many * 1024]))
      assert.strictEqual(seen.renderings, 2)
    }).pipe(Effect.scoped)
  )

  it.live("see all that happened before they asked, also while a page is being rendered", () =>
    Effect.gen(function* () {
      let happened = "before"
      const begun = yield* Deferred.make<void>()
      const { port } = yield* counted({
        *body() {
          yield happened
          Deferred.doneUnsafe(begun, Effect.void)
          for (let part = 0; part < many; part++) yield "."
        }
      })
      const first = yield* Effect.forkChild(ask(port))
      yield* Deferred.await(begun)
      happened = "after"
      assert.match((yield* ask(port)).text, /^after\.+$/)
      assert.match((yield* Fiber.join(first)).text, /^before\.+$/)
    }).pipe(Effect.scoped)
  )

  it.live("get the newest of two pages while slow readers hold both, and a new one when one of those is gone", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* counted({ partSize: tooMuch, writeTimeout: 25_000 })
      const slow = yield* connect(port, get)
      yield* connect(port, get)
      assert.strictEqual(seen.renderings, 2)
      assert.deepStrictEqual([numberOf(yield* ask(port)), numberOf(yield* ask(port))], [2, 2])
      slow.destroy()
      const later = Effect.map(ask(port), numberOf)
      assert.strictEqual(yield* Effect.repeat(later, { until: (number) => number !== 2 }), 3)
    }).pipe(Effect.scoped)
  )

  it.live("and do not read are cut off after `writeTimeout`, without what the operating system kept for them", () =>
    Effect.gen(function* () {
      const { port } = yield* counted({ partSize: tooMuch, writeTimeout: 500 })
      const slow = yield* connect(port, get)
      const reset = Effect.callback<Error>(
        (resume) => void slow.once("error", (error) => resume(Effect.succeed(error)))
      )
      yield* Effect.sleep("600 millis")
      slow.resume()
      assert.strictEqual((yield* reset).message, "read ECONNRESET")
      assert.isBelow(slow.bytesRead, many * tooMuch)
    }).pipe(Effect.scoped)
  )
})

describe("a connection", () => {
  it.live("is for one request: it is closed after the answer, and cut where more come at once", () =>
    Effect.gen(function* () {
      const { port, seen } = yield* counted({
        *body() {
          seen.renderings++
          yield "x"
        }
      })
      assert.strictEqual((yield* ask(port, { connection: "keep-alive" })).headers.connection, "close")
      const greedy = yield* connect(port, get.repeat(5000), { answered: false })
      yield* closed(greedy)
      assert.isAtMost(seen.renderings, 2)
      assert.strictEqual((yield* ask(port)).text, "x")
    }).pipe(Effect.scoped)
  )

  it.live("makes room for a later one if its request is not complete, the oldest one first", () =>
    Effect.gen(function* () {
      const { port } = yield* counted({ partSize: tooMuch })
      const ended: Array<number> = []
      for (let number = 0; number < Connections.mostConnections; number++) {
        const half = yield* connect(port, "GET /metr", { answered: false })
        half.once("close", () => ended.push(number))
      }
      const slow = yield* connect(port, get)
      const { status } = yield* ask(port)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(ended, [0, 1])
      assert.isFalse(slow.closed)
    }).pipe(Effect.scoped)
  )

  it.live("is closed when the head of a request is not there after 5 seconds, whatever trickles in", () =>
    Effect.gen(function* () {
      const { port } = yield* counted()
      const begun = performance.now()
      const silent = yield* connect(port, "", { answered: false })
      const trickling = yield* connect(port, "GET /metrics HTTP/1.1\r\n", { answered: false })
      const drop = setInterval(() => trickling.write("a: b\r\n"), 200)
      yield* Effect.ensuring(
        Effect.all([closed(silent), closed(trickling)], { concurrency: 2 }),
        Effect.sync(() => clearInterval(drop))
      )
      assert.isAtLeast(performance.now() - begun, Connections.limits.headersTimeout - 100)
    }).pipe(Effect.scoped, Effect.timeout("12 seconds"))
  )
})

describe("the Host header", () => {
  const statuses = (port: number, hosts: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(hosts, (host) => ask(port, { host })),
      (pages) => Object.fromEntries(pages.map(({ status }, index) => [hosts[index] ?? "", status]))
    )
  const serving = (options: Partial<KeepaliveMetrics.PrometheusOptions>) =>
    Effect.provide(KeepaliveMetrics.layerPrometheus({ port: 0, ...options }))
  const strange = [
    "evil.example",
    "localhost.evil.example:9464",
    "127.0.0.1.nip.io",
    "127.0.0.2",
    "evil.example@localhost"
  ]

  it.live("has to name this machine where only this machine can read: a web page of another name reads nothing", () =>
    Effect.gen(function* () {
      const { port } = yield* KeepaliveMetrics.PrometheusEndpoint
      const own = ["localhost", `localhost:${port}`, "127.0.0.1", "127.0.0.1:1", "[::1]", `[::1]:${port}`, "LOCALHOST"]
      assert.deepStrictEqual(yield* statuses(port, own), Object.fromEntries(own.map((host) => [host, 200])))
      assert.deepStrictEqual(yield* statuses(port, strange), Object.fromEntries(strange.map((host) => [host, 403])))
      const without = yield* connect(port, "GET /metrics HTTP/1.0\r\n\r\n")
      assert.isAbove(without.bytesRead, 0)
      const { text } = yield* ask(port, { host: "evil.example" })
      assert.strictEqual(text, "")
    }).pipe(serving({}), On.isolated, Effect.scoped)
  )

  it.live("may name what `allowedHosts` names, and the host that was asked for", () =>
    Effect.gen(function* () {
      const { port } = yield* KeepaliveMetrics.PrometheusEndpoint
      const hosts = [
        "metrics.example",
        "metrics.example:443",
        "[fd00::1]:9464",
        "127.0.0.2",
        "localhost",
        "evil.example"
      ]
      const expected = hosts.map((host) => [host, host === "evil.example" ? 403 : 200])
      assert.deepStrictEqual(yield* statuses(port, hosts), Object.fromEntries(expected))
    }).pipe(serving({ host: "0.0.0.0", allowedHosts: ["Metrics.Example", "fd00::1", "127.0.0.2"] }), On.isolated)
  )

  it.live("is anything where other machines can read", () =>
    Effect.gen(function* () {
      const { port } = yield* KeepaliveMetrics.PrometheusEndpoint
      assert.deepStrictEqual(yield* statuses(port, ["gateway.example"]), { "gateway.example": 200 })
    }).pipe(serving({ host: "0.0.0.0" }), On.isolated)
  )

  it.live("and the time to write are checked before anything listens", () =>
    Effect.gen(function* () {
      const layer = KeepaliveMetrics.layerPrometheus({
        port: 0,
        allowedHosts: ["fine.example", "localhost:9464", "https://x.example", ""],
        writeTimeout: 0
      })
      const error = yield* Effect.flip(Effect.provide(Effect.void, layer))
      assert(error._tag === "TelemetryConfigurationError")
      const paths = error.issues.map(({ path }) => path.join("."))
      assert.deepStrictEqual(paths, ["allowedHosts.1", "allowedHosts.2", "allowedHosts.3", "writeTimeout"])
    }).pipe(On.isolated)
  )
})
