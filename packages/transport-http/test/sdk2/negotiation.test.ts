/** Which era a session is of, and what decides that. */
import { assert, describe, it } from "@effect/vitest"
import { Fault, type McpServer, McpServers } from "@vmcp-keepalive/testkit"
import { Clock, Effect, Exit } from "effect"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { makeHost, open, run, serve } from "../connector/support.ts"
import { asked, keep, openThroughProxy } from "./support.ts"

const echo = { name: "echo", arguments: { message: "hi" } }

describe("a session with a server of", { timeout: 60_000 }, () => {
  it.live("the modern era rests on no session id, and opens and ends with nothing but its question", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "modern" })
      const { close, proxy, session } = yield* openThroughProxy(server)
      assert.deepStrictEqual([session.era, session.stateful], ["modern", false])
      const { result } = yield* run(session, (client) => client.callTool(echo))
      assert.isTrue(Exit.isSuccess(result))
      yield* close
      assert.deepStrictEqual(yield* asked(proxy), ["server/discover", "tools/call"])
    }).pipe(Effect.scoped)
  )

  it.live("the legacy era has all that it has with SDK 1.x", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const { close, proxy, session } = yield* openThroughProxy(server)
      assert.deepStrictEqual([session.era, session.stateful], ["legacy", true])
      yield* proxy.awaitRequest(({ method }) => method === "GET")
      yield* close
      assert.deepStrictEqual(yield* asked(proxy), [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "GET",
        "DELETE"
      ])
    }).pipe(Effect.scoped)
  )

  it.live("both eras is of the modern one", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "dual" })
      const { session } = yield* openThroughProxy(server)
      assert.deepStrictEqual([session.era, session.stateful], ["modern", false])
    }).pipe(Effect.scoped)
  )

  it.live("both eras is of the legacy one where the user says so", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "dual" })
      const { session } = yield* openThroughProxy(server, { versionNegotiation: { mode: "legacy" } })
      assert.deepStrictEqual([session.era, session.stateful], ["legacy", false])
    }).pipe(Effect.scoped)
  )

  const real = {
    everything: { server: McpServers.everything, era: "legacy" },
    effectMcp: { server: McpServers.effectMcp, era: "legacy" },
    supergateway: { server: McpServers.supergateway({ backend: "small" }), era: "legacy" },
    "supergateway, stateless": {
      server: McpServers.supergateway({ backend: "small", stateful: false }),
      era: "legacy"
    },
    // it speaks both itself, whatever is behind it
    mcpProxy: { server: McpServers.mcpProxy({ backend: "small" }), era: "modern" }
  } as const
  for (const [name, { era, server: start }] of Object.entries(real))
    it.live(`the ${era} era is reached: ${name}`, () =>
      Effect.gen(function* () {
        const server: McpServer.McpServer = yield* start
        const { session } = yield* openThroughProxy(server)
        assert.strictEqual(session.era, era)
        const { result } = yield* run(session, (client) => client.callTool(server.echo("hi")))
        assert.isTrue(Exit.isSuccess(result))
      }).pipe(Effect.scoped)
    )
})

describe("a status alone, in answer to the question for the era,", { timeout: 90_000 }, () => {
  it.live("from a server of the legacy era is its word where it stays with it, also as plain text", () =>
    Effect.gen(function* () {
      let discovers = 0
      const server = yield* serve((request, body, response) => {
        const { id, method } = body === "" ? { id: undefined, method: request.method } : JSON.parse(body)
        if (method === "server/discover") discovers++
        if (method === "initialize") {
          response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "one" })
          const serverInfo = { name: "old", version: "1" }
          response.end(
            JSON.stringify({
              jsonrpc: "2.0",
              id,
              result: { protocolVersion: "2025-11-25", capabilities: {}, serverInfo }
            })
          )
        } else if (method === "notifications/initialized") response.writeHead(202).end()
        else response.writeHead(422, { "content-type": "text/plain" }).end("expect initialize request")
      })
      const { session } = yield* open(HttpConnector.make({ url: server.url }), makeHost())
      assert.deepStrictEqual([session.era, session.stateful], ["legacy", true])
      assert.strictEqual(discovers, 2)
    }).pipe(Effect.scoped)
  )
})

describe("a server of the legacy era that keeps a session", { timeout: 60_000 }, () => {
  const isQuestion = (method: string) => method === "server/discover"

  it.live("is not asked again for its era, until an attempt fails or a day has passed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const { close, host, proxy } = yield* openThroughProxy(server)
      yield* close
      const until = host.era?.legacyUntil
      const now = Number(yield* Clock.monotonicTimeNanos) / 1e6
      assert.approximately((until ?? 0) - now, 86_400_000, 60_000)
      const connector = HttpConnector.make({ url: `${proxy.url}/mcp` })
      yield* Effect.scoped(connector.open(host))
      assert.strictEqual((yield* asked(proxy)).filter(isQuestion).length, 1)
      // the day has begun when it was asked, and not now
      assert.strictEqual(host.era?.legacyUntil, until)
      if (host.era !== undefined) host.era.legacyUntil = now - 1
      yield* Effect.scoped(connector.open(host))
      assert.strictEqual((yield* asked(proxy)).filter(isQuestion).length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("is asked again by a backend after an attempt that failed, and only then", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const { backend, proxy, until } = yield* keep(server)
      yield* backend.reconnect
      yield* until((state) => state._tag === "Connected" && state.generation === 2)
      assert.strictEqual((yield* asked(proxy)).filter(isQuestion).length, 1)
      yield* proxy.inject(Fault.Answer({ status: 500, on: { rpc: "initialize" }, times: 1 }))
      yield* backend.isolate
      yield* backend.reset
      yield* until((state) => state._tag === "Connected" && state.generation > 2)
      assert.strictEqual((yield* asked(proxy)).filter(isQuestion).length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("and then keeps none any more is asked whether it is one of both eras", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "legacy" })
      const { close, host, proxy } = yield* openThroughProxy(server)
      yield* close
      yield* server.become("dual")
      const connector = HttpConnector.make({ url: `${proxy.url}/mcp` })
      const failed = yield* Effect.flip(Effect.scoped(connector.open(host)))
      assert.deepInclude(failed, { _tag: "TransportFailure", reason: "session_lost" })
    }).pipe(Effect.scoped)
  )
})
