/** What the page's server answers, and to whom. */
import { get as httpGet } from "node:http"
import type { IncomingMessage } from "node:http"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import * as Readers from "../../src/internal/page/readers.ts"
import { Page } from "../../src/index.ts"
import * as Fleets from "./fleets.ts"
import * as Served from "./served.ts"

const start = (ids: ReadonlyArray<string> = ["one", "two"], options: Partial<Page.Options> = {}) =>
  Effect.gen(function* () {
    const scripted = yield* Fleets.make(ids)
    const url = yield* Served.serve({ fleet: scripted.fleet, ...options })
    return { ...scripted, url }
  })

const ask = (url: string, init: RequestInit = {}) => Effect.promise(() => fetch(url, init))
const text = (response: Response) => Effect.promise(() => response.text())
const json = (response: Response): Effect.Effect<unknown> => Effect.promise(() => response.json())

const bearer = (token: string) => ({ method: "POST", headers: { authorization: `Bearer ${token}` } })
const order = (url: string, id: string, command: string, init: RequestInit = bearer(Served.token)) =>
  ask(`${url}/api/backends/${encodeURIComponent(id)}/${command}`, init)

/** `fetch` sets `Host` itself. */
const askAs = (url: string, headers: { readonly [name: string]: string }): Effect.Effect<number | undefined> =>
  Effect.callback((resume) => {
    httpGet(url, { headers, agent: false }, (response) => {
      response.destroy()
      resume(Effect.succeed(response.statusCode))
    })
  })

describe("the page's files", () => {
  it.live("come with a policy that lets nothing in from elsewhere, and are not sent again unchanged", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const page = yield* ask(`${url}/`)
      assert.strictEqual(page.status, 200)
      assert.match(page.headers.get("content-type") ?? "", /text\/html/)
      const policy = page.headers.get("content-security-policy") ?? ""
      for (const directive of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
        assert.include(policy, directive)
      assert.notInclude(policy, "unsafe")
      assert.strictEqual(page.headers.get("x-content-type-options"), "nosniff")
      assert.strictEqual(page.headers.get("referrer-policy"), "no-referrer")
      const html = yield* text(page)
      assert.notMatch(html, /<script(?![^>]*src=)|\sstyle=|\son\w+=/)
      for (const [, path = ""] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
        const file = yield* ask(`${url}${path}`)
        assert.strictEqual(file.status, 200, path)
        yield* text(file)
      }
      const again = yield* ask(`${url}/`, { headers: { "if-none-match": page.headers.get("etag") ?? "" } })
      assert.strictEqual(again.status, 304)
      assert.strictEqual((yield* ask(`${url}/page/nothing.js`)).status, 404)
    })
  )

  it.live("and the API are for no foreign Host and no foreign Origin", () =>
    Effect.gen(function* () {
      const { get, url } = yield* start()
      for (const path of ["/", "/page/main.js", "/api/status", "/api/events", "/api/backends/one"]) {
        assert.strictEqual(yield* askAs(`${url}${path}`, { host: "evil.example" }), 403, path)
        assert.strictEqual(yield* askAs(`${url}${path}`, { origin: "http://evil.example" }), 403, path)
      }
      assert.strictEqual(yield* askAs(`${url}/api/status`, { origin: url }), 200)
      const headers = { authorization: `Bearer ${Served.token}`, origin: "http://evil.example" }
      assert.strictEqual((yield* order(url, "one", "isolate", { method: "POST", headers })).status, 403)
      assert.strictEqual((yield* (yield* get("one")).state)._tag, "Idle")
    })
  )
})

describe("the API of the page", () => {
  it.live("tells the status as its schema says", () =>
    Effect.gen(function* () {
      const { get, url } = yield* start()
      yield* (yield* get("two")).isolate
      const status = yield* Effect.flatMap(
        Effect.flatMap(ask(`${url}/api/status`), json),
        Schema.decodeUnknownEffect(Page.Status)
      )
      assert.deepStrictEqual(
        status.backends.map(({ id, state }) => [id, state]),
        [
          ["one", "Idle"],
          ["two", "Isolated"]
        ]
      )
      assert.deepStrictEqual([status.total, status.attention], [2, 0])
    })
  )

  it.live("lets only who has the token order something", () =>
    Effect.gen(function* () {
      const { get, url } = yield* start()
      const one = yield* get("one")
      const none = yield* order(url, "one", "isolate", { method: "POST" })
      assert.strictEqual(none.status, 401)
      assert.match(none.headers.get("www-authenticate") ?? "", /^Bearer/)
      assert.strictEqual((yield* order(url, "one", "isolate", bearer("wrong"))).status, 401)
      assert.strictEqual((yield* order(url, "one", "isolate", bearer(`${Served.token}x`))).status, 401)
      assert.strictEqual((yield* one.state)._tag, "Idle")
      assert.strictEqual((yield* order(url, "one", "isolate")).status, 200)
      assert.strictEqual((yield* one.state)._tag, "Isolated")
      assert.strictEqual((yield* order(url, "one", "reset")).status, 200)
      yield* one.awaitConnected
      assert.strictEqual((yield* order(url, "one", "probe")).status, 200)
      assert.strictEqual((yield* order(url, "one", "reconnect")).status, 200)
    })
  )

  it.live("says of an order what became of it: unknown backend or command 404, not possible in its state 409", () =>
    Effect.gen(function* () {
      const { get, url } = yield* start(["one", "a/b <i>"])
      assert.strictEqual((yield* order(url, "nobody", "isolate")).status, 404)
      assert.strictEqual((yield* order(url, "one", "explode")).status, 404)
      assert.strictEqual((yield* ask(`${url}/api/backends/nobody`)).status, 404)
      assert.strictEqual((yield* order(url, "one", "isolate", { headers: bearer(Served.token).headers })).status, 404)
      assert.strictEqual((yield* order(url, "a/b <i>", "isolate")).status, 200)
      assert.strictEqual((yield* (yield* get("a/b <i>")).state)._tag, "Isolated")
      assert.strictEqual((yield* order(url, "a/b <i>", "reconnect")).status, 409)
      // without a session there is nothing to probe
      assert.strictEqual((yield* order(url, "one", "probe")).status, 409)
    })
  )

  it.live("keeps what a server wrote from all but operators", () =>
    Effect.gen(function* () {
      const { fleet, url } = yield* start([])
      const server = ScriptedServer.make()
      const secret = "password=hunter2"
      server.script.connect = {
        _tag: "Unreachable",
        reason: "process_exit",
        detail: { summary: "exit code 1", output: [secret] }
      }
      const backend = yield* fleet.add({ id: "bad", connector: server.connector, policy: { connect: "eager" } })
      yield* Effect.repeat(backend.state, { until: ({ _tag }) => _tag === "Disconnected" })
      const asked = yield* Effect.flatMap(ask(`${url}/api/backends/bad`), text)
      const status = yield* Effect.flatMap(ask(`${url}/api/status`), text)
      for (const told of [asked, status]) {
        assert.notInclude(told, "hunter2")
        assert.include(told, "exit code 1")
      }
      const { headers } = bearer(Served.token)
      assert.include(yield* Effect.flatMap(ask(`${url}/api/backends/bad`, { headers }), text), secret)
    })
  )

  it.live("has the buttons of a program's own, for operators as well", () =>
    Effect.gen(function* () {
      const pressed: Array<string> = []
      const extras: Page.Extras = {
        buttons: (backend) =>
          Effect.succeed([
            { id: "kill", label: `Kill ${backend}` },
            { id: "freeze", label: "Freeze", disabled: "It is frozen." }
          ]),
        run: (backend, button) => Effect.sync(() => pressed.push(`${button} ${backend}`))
      }
      const { url } = yield* start(["one"], { extras })
      assert.strictEqual((yield* order(url, "one", "kill", { method: "POST" })).status, 401)
      assert.strictEqual((yield* order(url, "nobody", "kill")).status, 404)
      assert.strictEqual((yield* order(url, "one", "cut")).status, 404)
      const frozen = yield* order(url, "one", "freeze")
      assert.deepStrictEqual([frozen.status, yield* text(frozen)], [409, JSON.stringify({ error: "It is frozen." })])
      assert.include(yield* Effect.flatMap(ask(`${url}/api/backends/one`), text), "Kill one")
      assert.deepStrictEqual(pressed, [])
      assert.strictEqual((yield* order(url, "one", "kill")).status, 200)
      assert.deepStrictEqual(pressed, ["kill one"])
    })
  )
})

/** A reader of events, to the end of the scope. */
const read = (url: string): Effect.Effect<IncomingMessage, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<IncomingMessage>((resume) => {
      httpGet(`${url}/api/events`, { agent: false }, (response) => {
        response.on("error", () => {})
        resume(Effect.succeed(response))
      })
    }),
    (response) => Effect.sync(() => response.destroy())
  )

const firstOf = (response: IncomingMessage): Effect.Effect<string> =>
  Effect.callback((resume) => {
    response.once("data", (bytes: Buffer) => resume(Effect.succeed(bytes.toString())))
  })

describe("readers of events", () => {
  it.live(
    "are at most a thousand: one more is asked to come later, others are served, and its place becomes free",
    () =>
      Effect.gen(function* () {
        const { url } = yield* start()
        const [one] = yield* Effect.all(
          Array.from({ length: Readers.limit }, () => read(url)),
          { concurrency: 50 }
        )
        const refused = yield* ask(`${url}/api/events`)
        assert.strictEqual(refused.status, 503)
        assert.strictEqual(refused.headers.get("retry-after"), "5")
        assert.strictEqual((yield* ask(`${url}/api/status`)).status, 200)
        assert.strictEqual((yield* order(url, "one", "isolate")).status, 200)
        one?.destroy()
        // The server hears of it a moment later.
        const next = yield* Effect.repeat(read(url), {
          until: ({ statusCode }) => statusCode === 200
        })
        assert.match(yield* firstOf(next), /^event: snapshot\n/)
      })
  )

  it.live("that do not read are cut off, while others are served", () =>
    Effect.gen(function* () {
      // long ids, so that the buffers of a socket are full soon
      const ids = Fleets.numbered(200).map((id) => `${id}-${"x".repeat(1000)}`)
      const { get, url } = yield* start(ids)
      const slow = yield* read(url)
      slow.pause()
      const quick = yield* read(url)
      let heard = 0
      quick.on("data", (bytes: Buffer) => {
        heard += bytes.toString().split("event: changes").length - 1
      })
      // far more than what waits for a reader, and what a socket holds
      while (heard < 2 * Readers.buffer) {
        yield* Effect.forEach(
          ids,
          (id) => Effect.flatMap(get(id), (backend) => Effect.andThen(backend.isolate, backend.reset)),
          { discard: true }
        )
        yield* Effect.sleep("50 millis")
      }
      // Whoever was not cut off would get the rest now, and what comes next.
      const closed = Effect.callback<void>((resume) => {
        slow.once("close", () => resume(Effect.void))
      })
      slow.resume()
      yield* closed
      assert.isFalse(quick.closed)
      assert.strictEqual((yield* ask(`${url}/api/status`)).status, 200)
    })
  )
})
