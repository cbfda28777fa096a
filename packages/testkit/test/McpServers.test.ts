import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { McpServers } from "../src/index.ts"
import { call, get, modern, open, request, rpc } from "./client.ts"

const kinds = {
  everything: McpServers.everything,
  mcpProxy: McpServers.mcpProxy({ backend: "small" }),
  supergateway: McpServers.supergateway({ backend: "small" }),
  supergatewayStateless: McpServers.supergateway({ backend: "small", stateful: false }),
  effectMcp: McpServers.effectMcp,
  "sdk2, dual": McpServers.sdk2({ era: "dual" }),
  "sdk2, legacy": McpServers.sdk2({ era: "legacy" })
}

describe.each(Object.entries(kinds))("%s", (_name, make) => {
  it.live("does what its traits say, before and after it is killed and started again", () =>
    Effect.gen(function* () {
      const server = yield* make
      const { traits, url } = server
      const { session } = yield* open(url)
      assert.strictEqual(session !== undefined, traits.stateful)
      const echo = yield* call(url, session, server.echo("hello"))
      assert.include(JSON.stringify(echo.message.result), "Echo: hello")
      assert.strictEqual(echo.headers.get("content-type")?.includes("event-stream"), traits.answers === "sse")
      assert.strictEqual(/^id: /m.test(echo.text), traits.resumable)
      assert.strictEqual(yield* get(url, session), traits.getStream ? 200 : 405)
      const start = performance.now()
      const slow = yield* call(url, session, server.slow(0.3))
      assert.isDefined(slow.message.result)
      assert.isAtLeast(performance.now() - start, 290)

      const before = yield* server.pid
      yield* server.restart
      assert.notStrictEqual(yield* server.pid, before)
      const stale = yield* rpc(url, session, "ping")
      assert.strictEqual(stale.status, traits.staleSession === "none" ? 200 : traits.staleSession)
      const again = yield* open(url)
      yield* call(url, again.session, server.echo("again"))
      assert.deepStrictEqual(yield* server.executions, [
        { tool: "echo", arguments: { message: "hello" } },
        { tool: server.slow(0.3).name, arguments: server.slow(0.3).arguments },
        { tool: "echo", arguments: { message: "again" } }
      ])
      if (again.session !== undefined) yield* request(url, "DELETE", { session: again.session })
    })
  )
})

const gateways = {
  mcpProxy: McpServers.mcpProxy,
  supergateway: McpServers.supergateway,
  "supergateway, stateless": (options: { readonly backend: McpServers.Backend }) =>
    McpServers.supergateway({ ...options, stateful: false })
}

describe.each(Object.entries(gateways))("%s in front of a server on SDK 2.x", (name, make) => {
  it.live.each(["modern", "dual"] as const)("hands on what is asked in the modern era: %s", (backend) =>
    Effect.gen(function* () {
      const server = yield* make({ backend })
      const { message } = yield* modern(server.url, "server/discover")
      assert.deepInclude(message.result, { supportedVersions: ["2026-07-28"] })
      const echo = yield* modern(server.url, "tools/call", { ...server.echo("hello") })
      assert.include(JSON.stringify(echo.message.result), "Echo: hello")
      assert.deepStrictEqual(yield* server.executions, [{ tool: "echo", arguments: { message: "hello" } }])
      // mcp-proxy answers `initialize` itself
      const legacy = yield* rpc(server.url, undefined, "initialize", {
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "testkit", version: "1" }
      })
      assert.strictEqual(legacy.message.result !== undefined, backend === "dual" || name === "mcpProxy")
    })
  )
})
