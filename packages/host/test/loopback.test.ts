/** The endpoint on a port: who may ask, what is bounded, and that nothing is left. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "@vmcp-keepalive/core"
import { Leftovers, StdioServers } from "@vmcp-keepalive/testkit"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Schedule } from "effect"
import { request as httpRequest } from "node:http"
import { vi } from "vitest"
import { keptFetch } from "../src/KeptFetch.ts"
import { listen, type Options } from "../src/Loopback.ts"
import { headers, initialize, reader, request } from "./fetch/scripted.ts"
import { policy } from "./support.ts"

const opened = (options: Options = {}) =>
  Effect.gen(function* () {
    const server = yield* StdioServers.scripted()
    const connector = StdioPeerConnector.make({ command: server.command, args: server.args })
    const kept = yield* Effect.acquireRelease(
      Effect.sync(() => keptFetch({ id: "scripted", connector, policy })),
      (kept) => Effect.promise(() => kept.close())
    )
    const port = yield* Effect.acquireRelease(
      Effect.promise(() => listen(kept, options)),
      (port) => Effect.promise(() => port.close())
    )
    return { kept, port, server }
  })

/** The status of a request as it is written; `fetch` would not let one name another host. */
const statusOf = (
  url: URL,
  options: { readonly headers?: Record<string, string>; readonly path?: string; readonly method?: string }
) =>
  Effect.promise(
    () =>
      new Promise<number | undefined>((resolve, reject) => {
        const { headers: more, method = "POST", path = url.pathname } = options
        httpRequest({
          host: url.hostname,
          port: url.port,
          path,
          method,
          headers: { ...headers(), ...more },
          agent: false
        })
          .on("response", (response) => {
            response.destroy()
            resolve(response.statusCode)
          })
          .on("error", reject)
          .end(method === "POST" ? JSON.stringify(request(1)) : undefined)
      })
  )

const post = (url: URL, message: unknown, session?: string, signal?: AbortSignal) =>
  Effect.promise(() =>
    fetch(url, {
      method: "POST",
      headers: headers(session),
      body: typeof message === "string" ? message : JSON.stringify(message),
      ...(signal === undefined ? {} : { signal })
    })
  )

/** Opens a session, and returns its id. */
const begun = (url: URL) =>
  Effect.gen(function* () {
    const response = yield* post(url, initialize)
    yield* Effect.promise(() => response.text())
    return response.headers.get("mcp-session-id") ?? ""
  })

describe("an endpoint on a port", () => {
  it.live("answers none that does not know its path, names another host, or comes from a page", () =>
    Effect.gen(function* () {
      const { port } = yield* opened()
      const { url } = port
      const own = `127.0.0.1:${url.port}`
      assert.strictEqual(url.host, own)
      assert.isAtLeast(url.pathname.length, 33)
      const status = (options: Parameters<typeof statusOf>[1]) => statusOf(url, options)
      // what the endpoint itself says: no session
      assert.strictEqual(yield* status({}), 400)
      assert.strictEqual(yield* status({ headers: { host: `localhost:${url.port}` } }), 400)
      assert.strictEqual(yield* status({ headers: { origin: `http://${own}` } }), 400)
      assert.strictEqual(yield* status({ headers: { host: `evil.example:${url.port}` } }), 403)
      assert.strictEqual(yield* status({ headers: { host: "127.0.0.1" } }), 403)
      for (const origin of ["http://evil.example", "null", "http://localhost:3000", `https://${own}`])
        assert.strictEqual(yield* status({ headers: { origin } }), 403, origin)
      for (const path of ["/", "/mcp", `${url.pathname}x`, url.pathname.slice(0, -1), `${url.pathname}?a=b`])
        assert.strictEqual(yield* status({ path }), 404, path)
      assert.strictEqual(yield* status({ method: "PUT" }), 405)
      assert.strictEqual(yield* status({ method: "TRACE" }), 405)
      const another = yield* opened()
      assert.notStrictEqual(another.port.url.pathname, url.pathname)
    }).pipe(Effect.scoped)
  )

  it.live("reads no more of a body than a message may have", () =>
    Effect.gen(function* () {
      const { port } = yield* opened()
      const long = yield* Effect.promise(() =>
        fetch(port.url, { method: "POST", headers: headers(), body: " ".repeat(17 * 1024 * 1024) }).then(
          ({ status }) => status,
          // it was cut before all of it was written
          () => 413
        )
      )
      assert.strictEqual(long, 413)
      assert.strictEqual((yield* post(port.url, "{")).status, 400)
    }).pipe(Effect.scoped)
  )

  it.live("cancels the call of a client that goes away, and keeps its session", () =>
    Effect.gen(function* () {
      const { kept, port, server } = yield* opened()
      const session = yield* begun(port.url)
      const controller = new AbortController()
      const settled = new Promise<string>((resolve) => {
        kept.on("event", (event) => {
          if (event._tag === "CallSettled") resolve(event.outcome)
        })
      })
      const slow = request(1, "tools/call", { name: "slow", arguments: { ms: 20_000 } })
      yield* post(port.url, slow, session, controller.signal)
      yield* Effect.repeat(server.executions, {
        until: (all) => all.length === 1,
        schedule: Schedule.spaced("5 millis")
      })
      controller.abort()
      yield* Effect.timeout(
        Effect.promise(() => settled),
        "2 seconds"
      )
      const echo = request(2, "tools/call", { name: "echo", arguments: { message: "on" } })
      assert.include(
        yield* Effect.promise(async () => (await Effect.runPromise(post(port.url, echo, session))).text()),
        "Echo: on"
      )
    }).pipe(Effect.scoped)
  )

  it.live("writes a comment every 15 s, so that clients do not cut a stream in which nothing comes", () =>
    Effect.gen(function* () {
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      const { port } = yield* opened()
      const session = yield* begun(port.url)
      const standing = yield* Effect.promise(() => fetch(port.url, { headers: headers(session) }))
      const body = standing.body?.getReader()
      vi.advanceTimersByTime(15_000)
      const read = yield* Effect.promise(async () => body?.read())
      assert.strictEqual(new TextDecoder().decode(read?.value), ":\n\n")
      yield* Effect.promise(async () => body?.cancel())
    }).pipe(Effect.scoped)
  )

  it.live("cuts what is open when it is closed, leaves nothing, and the endpoint goes on", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { kept, port, server } = yield* opened()
          const session = yield* begun(port.url)
          const standing = yield* Effect.promise(() => fetch(port.url, { headers: headers(session) }))
          const slow = request(1, "tools/call", { name: "slow", arguments: { ms: 20_000 } })
          const call = yield* post(port.url, slow, session)
          yield* Effect.repeat(server.executions, {
            until: (all) => all.length === 1,
            schedule: Schedule.spaced("5 millis")
          })
          const cut = Promise.allSettled([standing.text(), call.text()])
          yield* Effect.promise(() => Promise.all([port.close(), port.close()]))
          assert.deepStrictEqual(
            (yield* Effect.promise(() => cut)).map(({ status }) => status),
            ["rejected", "rejected"]
          )
          const echo = request(2, "tools/call", { name: "echo", arguments: { message: "on" } })
          const init = { method: "POST", headers: headers(session), body: JSON.stringify(echo) }
          const answer = yield* Effect.promise(() => kept.fetch(kept.url, init))
          assert.include(JSON.stringify(yield* Effect.promise(() => reader(answer).all())), "Echo: on")
        })
      )
      yield* leftovers.check
    }).pipe(Effect.scoped)
  )

  it.live("is on an address of this machine, and says what is wrong with its settings", () =>
    Effect.gen(function* () {
      const { kept } = yield* opened()
      const wrong: Options = { port: 65_536 }
      const error = yield* Effect.promise(() =>
        listen(kept, wrong).then(
          () => assert.fail("it listens"),
          (error: unknown) => error
        )
      )
      assert.instanceOf(error, BackendError.ConfigurationError)
      assert.deepStrictEqual(error.issues, [{ path: ["port"], expected: "a whole number from 0 to 65,535" }])
      const taken = yield* opened()
      const used = yield* Effect.promise(() =>
        listen(kept, { port: Number(taken.port.url.port) }).then(
          () => assert.fail("it listens"),
          (error: NodeJS.ErrnoException) => error.code
        )
      )
      assert.strictEqual(used, "EADDRINUSE")
    }).pipe(Effect.scoped)
  )
})
