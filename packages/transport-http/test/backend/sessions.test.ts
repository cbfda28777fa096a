import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import { Backend } from "@vmcp-keepalive/core"
import { Fault, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { isRenewed, keep, text } from "./support.ts"

describe("a planned replacement", () => {
  it.live("lets the calls of the old session end while new ones use the new session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      const slow = yield* Effect.forkChild(kept.call(server.slow(2)))
      yield* kept.proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      assert.deepStrictEqual(untimed(yield* kept.backend.reconnect), { _tag: "Connected", generation: 2 })
      assert.include(text(yield* kept.call(server.echo("new"))), "new")
      assert.include(text(yield* Fiber.join(slow)), "content")
      yield* kept.proxy.awaitRequest(({ method }) => method === "DELETE")
    })
  )

  it.live("sends a call only once that waited for its token until the old session was over", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      // so that the termination of the old session lasts
      yield* server.react("DELETE", ScriptedServer.Reaction.Hang())
      let token = Promise.resolve({ access_token: "token", token_type: "Bearer" })
      const authProvider: OAuthClientProvider = {
        redirectUrl: undefined,
        clientMetadata: { redirect_uris: [] },
        clientInformation: () => undefined,
        tokens: () => token,
        saveTokens: () => {},
        redirectToAuthorization: () => {},
        saveCodeVerifier: () => {},
        codeVerifier: () => ""
      }
      const backend = yield* Backend.make({
        id: "slow tokens",
        connector: HttpConnector.make({ url: server.url, authProvider }),
        policy: { drainTimeout: "100 millis" }
      })
      yield* backend.awaitConnected
      const ready = token
      let arrive = () => {}
      token = new Promise((resolve) => (arrive = () => resolve(ready)))
      const call = yield* Effect.forkChild(
        backend.use((client) => client.callTool(server.echo("once"))),
        { startImmediately: true }
      )
      token = ready
      // its drainTimeout passes, and the call begins anew on the next session
      yield* backend.reconnect
      assert.include(text(yield* Fiber.join(call)), "once")
      arrive()
      assert.include(text(yield* backend.use((client) => client.callTool(server.echo("next")))), "next")
      assert.strictEqual((yield* server.executions).length, 2)
    })
  )

  it.live("works on a server that allows one session only: the old one goes first", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ singleSession: true })
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      assert.isTrue(isRenewed()(yield* kept.backend.reconnect))
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
      assert.strictEqual((yield* server.stats).sessions, 1)
    })
  )

  it.live("works on such a server also after the session was lost to a network that swallowed everything", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ singleSession: true })
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      const drop = yield* kept.proxy.inject(Fault.SilentDrop({ on: { rpc: "ping" } }))
      yield* kept.until((state) => state._tag !== "Connected" && state._tag !== "Unhealthy")
      yield* drop.heal
      yield* kept.until(isRenewed())
      assert.strictEqual((yield* server.stats).sessions, 1)
    })
  )

  for (const [name, fault] of [
    ["the network swallowed the termination as well", Fault.SilentDrop()],
    ["a proxy answered it with 404", Fault.Answer({ status: 404 })],
    ["a proxy answered it with 503", Fault.Answer({ status: 503 })]
  ] as const)
    it.live(`works on such a server also where ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make({ singleSession: true })
        const kept = yield* keep(server)
        const trouble = yield* kept.proxy.inject(fault)
        const termination = yield* kept.proxy.awaitRequest(({ method }) => method === "DELETE")
        assert.isFalse(termination.forwarded)
        // the next attempt: the termination has been given up
        yield* kept.proxy.awaitRequest(({ at, rpcMethod }) => rpcMethod === "initialize" && at > termination.at)
        yield* trouble.heal
        yield* kept.until(isRenewed())
        assert.strictEqual((yield* server.stats).sessions, 1)
      })
    )
})

describe("a termination that the server never answers", () => {
  it.live("is said again before the next session, which does not wait for it, and then no more", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("DELETE", ScriptedServer.Reaction.Hang())
      const kept = yield* keep(server)
      for (const generation of [2, 3, 4])
        assert.deepStrictEqual(untimed(yield* kept.backend.reconnect), { _tag: "Connected", generation })
      const sessions = (yield* kept.proxy.requests).flatMap(({ rpcMethod, sessionId }) =>
        rpcMethod === "notifications/initialized" ? [sessionId] : []
      )
      yield* kept.proxy.awaitRequest(({ method, sessionId }) => method === "DELETE" && sessionId === sessions[2])
      const terminations = (yield* kept.proxy.requests).filter(({ method }) => method === "DELETE")
      const times = sessions.map((id) => terminations.filter(({ sessionId }) => sessionId === id).length)
      assert.deepStrictEqual(times, [2, 2, 1, 0])
    })
  )
})

describe("the end of the scope", () => {
  it.live("ends the session on the server too", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server)
          yield* kept.call(server.echo("once"))
        })
      )
      const { deletes, sessions } = yield* server.stats
      assert.deepStrictEqual({ deletes, sessions }, { deletes: 1, sessions: 0 })
    })
  )
})
