/** The stream for what real servers send of their own accord, every 5 s. */
import { it } from "@effect/vitest"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { eventually, listening, openThroughProxy } from "./support.ts"

for (const [name, start] of [
  ["server-everything", McpServers.everything],
  ["mcp-proxy", McpServers.mcpProxy()]
] as const) {
  it.live(`the standing stream goes on carrying what ${name} sends after it was cut with an event id`, () =>
    Effect.gen(function* () {
      const server = yield* start
      const { client, got } = listening()
      const { proxy, session } = yield* openThroughProxy(server, { client })
      yield* proxy.awaitRequest(({ method }) => method === "GET")
      // Sends a log message now and every 5 s.
      yield* Effect.promise(() => session.client.callTool({ name: "toggle-simulated-logging" }))
      yield* eventually(() => got.length >= 1)
      yield* proxy.inject(Fault.Reset({ on: { method: "GET" }, times: 1 }))
      const before = got.length
      yield* eventually(() => got.length > before)
      yield* eventually(() => got.length > before + 1)
    }).pipe(Effect.scoped)
  )
}
