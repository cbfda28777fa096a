/** A server that speaks nonsense: a typed failure, no crash, no unhandled rejection, no credential sent elsewhere. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Fault, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Redacted } from "effect"
import * as Http from "node:http"
import { is, keep, text } from "./support.ts"

const { Reaction } = ScriptedServer

const unhandled: Array<unknown> = []
const note = (reason: unknown) => {
  unhandled.push(reason)
}
beforeAll(() => {
  process.on("unhandledRejection", note)
})
afterAll(() => {
  process.off("unhandledRejection", note)
  assert.deepStrictEqual(unhandled, [])
})

const html = Fault.Answer({
  status: 200,
  headers: { "content-type": "text/html" },
  body: "<html><body>Welcome to the hotel</body></html>"
})

describe("nonsense instead of initialize", () => {
  it.live.each([
    ["HTML with 200", html],
    ["invalid JSON", Fault.Answer({ status: 200, headers: { "content-type": "application/json" }, body: "{" })],
    [
      "an answer to another id",
      Fault.Answer({
        status: 200,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 4711, result: {} })
      })
    ]
  ] as const)("%s is a failed attempt with reason protocol, and heals", ([, fault]) =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { await: false, before: (proxy) => proxy.inject(fault) })
      const state = yield* kept.until(is("Disconnected"))
      assert(state._tag === "Disconnected")
      assert.strictEqual(state.reason, "protocol")
      yield* kept.proxy.heal
      yield* kept.backend.awaitConnected
    })
  )
})

describe("nonsense instead of the answer to a call", () => {
  it.live.each([
    ["invalid JSON", Reaction.InvalidJson()],
    ["an answer to an id that was not asked", Reaction.WrongId()]
  ] as const)("%s fails the call, whose outcome is unknown, and leaves the backend well", ([, reaction]) =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* server.react("tools/call", reaction, 1)
      const error = yield* Effect.flip(Effect.timeout(kept.call(server.echo("nonsense")), "5 seconds"))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      yield* kept.backend.probe
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )

  it.live("a line of 5 MB arrives", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* server.react("tools/call", Reaction.HugeLine({ bytes: 5_000_000 }), 1)
      assert.isAtLeast(text(yield* kept.call(server.echo("huge"))).length, 5_000_000)
      assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
    })
  )

  it.live.each([302, 307, 308])(
    "a redirect (%s) to another origin is a typed failure and takes no credential there",
    (status) =>
      Effect.gen(function* () {
        const elsewhere = yield* origin
        const server = yield* ScriptedServer.make()
        const kept = yield* keep(server, {
          headers: { Authorization: Redacted.make("Bearer stays-here") },
          policy: { interval: "1 hour" }
        })
        yield* kept.proxy.inject(
          Fault.Answer({ status, headers: { location: `${elsewhere.url}/mcp` }, on: { rpc: "tools/call" } })
        )
        const error = yield* Effect.flip(kept.call(server.echo("redirected")))
        // 302 may say that the call was processed, 307 and 308 say that it was not
        assert(error._tag === (status === 302 ? "OutcomeUnknown" : "CallFailed"))
        assert.strictEqual(error.reason, "protocol")
        for (const headers of elsewhere.requests) {
          assert.notProperty(headers, "authorization")
          assert.notProperty(headers, "mcp-session-id")
        }
        assert.strictEqual((yield* server.executions).length, 0)
      })
  )
})

/** Another origin, which writes down what it is sent. */
const origin = Effect.acquireRelease(
  Effect.callback<{
    readonly url: string
    readonly requests: Array<Http.IncomingHttpHeaders>
    readonly server: Http.Server
  }>((resume) => {
    const requests: Array<Http.IncomingHttpHeaders> = []
    const server = Http.createServer((request, response) => {
      requests.push(request.headers)
      response.end()
    }).listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, requests, server }))
    })
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)
