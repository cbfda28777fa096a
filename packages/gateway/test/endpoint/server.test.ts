/** What whoever can open sockets may do to a server, which has other clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpServerResponse } from "effect/http"
import { once } from "node:events"
import { connect } from "node:net"
import * as Server from "../../src/internal/endpoint/server.ts"

const start = (options: Partial<Server.Options<never, never>> = {}) =>
  Server.serve({
    host: "127.0.0.1",
    port: 0,
    rules: { allowedHosts: [] },
    mcp: { path: "/mcp", listener: (_, response) => response.end("mcp") },
    app: Effect.succeed(HttpServerResponse.text("app")),
    ...options
  })

const socketTo = (port: number, text: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const socket = connect(port, "127.0.0.1")
        socket.on("error", () => {})
        await once(socket, "connect")
        socket.write(text)
        return socket
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      let received = ""
      socket.on("data", (chunk) => (received += String(chunk)))
      const closed = once(socket, "close")
      return { closed: Effect.promise(() => closed), received: () => received }
    }
  )

const get = (port: number, path: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { ...headers, connection: "close" } })
    return [response.status, await response.text()] as const
  })

describe("a server", () => {
  it.live("closes what does not finish the head of its request in time, and answers others meanwhile", () =>
    Effect.gen(function* () {
      const port = yield* start({ headersTimeout: 400 })
      const slow = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        socketTo(port, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nx: ")
      )
      assert.deepStrictEqual(yield* get(port, "/mcp"), [200, "mcp"])
      yield* Effect.forEach(slow, ({ closed }) => closed)
      for (const { received } of slow) assert.match(received(), /^HTTP\/1\.1 408 /)
      assert.deepStrictEqual(yield* get(port, "/mcp"), [200, "mcp"])
    })
  )

  it.live("holds no more connections than it may: what comes beyond is closed, what is there goes on", () =>
    Effect.gen(function* () {
      const port = yield* start({ maxConnections: 10 })
      const held = yield* Effect.forEach(Array.from({ length: 10 }), () => socketTo(port, "GET /mcp HTTP/1.1\r\n"))
      const beyond = yield* Effect.forEach(Array.from({ length: 20 }), () => socketTo(port, ""))
      yield* Effect.forEach(beyond, ({ closed }) => closed)
      assert.isTrue(held.every(({ received }) => received() === ""))
    })
  )

  it.live("asks for the token on the path of MCP alone, and looks at the names on every path", () =>
    Effect.gen(function* () {
      const port = yield* start({ rules: { allowedHosts: [], token: Redacted.make("secret") } })
      assert.strictEqual((yield* get(port, "/mcp"))[0], 401)
      assert.strictEqual((yield* get(port, "/mcp?x=1"))[0], 401)
      assert.deepStrictEqual(yield* get(port, "/mcp?x=1", { authorization: "Bearer secret" }), [200, "mcp"])
      assert.deepStrictEqual(yield* get(port, "/page"), [200, "app"])
      assert.strictEqual((yield* get(port, "/page", { origin: "http://evil.example" }))[0], 403)
    })
  )

  it.live("says what keeps it from listening", () =>
    Effect.gen(function* () {
      const port = yield* start()
      const { message, reason } = yield* Effect.flip(start({ port }))
      assert.strictEqual(reason, "port_in_use")
      assert.include(message, `127.0.0.1:${port}`)
      assert.strictEqual((yield* Effect.flip(start({ host: "192.0.2.1" }))).reason, "no_such_host")
    })
  )
})
