/** The example of core's README for clients of Effects: it is what stands here, and it works. */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Backend, type BackendError, type Connector } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Context, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { McpSchema, type McpClient, type McpClientError } from "effect/ai"
import { readFileSync } from "node:fs"
import * as EffectAi from "./connector.ts"

// README: from here
const ask = Effect.fnUntraced(function* (connector: Connector.Connector<McpClient.McpClient>, tool: McpSchema.Tool) {
  const backend = yield* Backend.make({ id: "search", connector })
  const found: Effect.Effect<McpSchema.CallToolResult, McpClientError.McpClientError | BackendError.CallError> =
    backend.use((client) => client.callTool({ tool, arguments: { query: "keepalive" } }))
  return yield* found
})
// README: to here

it.live("the example of the README runs as it stands", () =>
  Effect.gen(function* () {
    const here = readFileSync(new URL(import.meta.url), "utf8")
    const [, example = ""] = /^\/\/ README: from here\n([^]*?)^\/\/ README: to here$/m.exec(here) ?? []
    const readme = readFileSync(new URL("../../../core/README.md", import.meta.url), "utf8")
    assert.isNotEmpty(example)
    assert.include(readme, `${example}\`\`\``)

    const server = yield* ScriptedServer.make()
    yield* server.control(ScriptedServer.Control.AddTool({ name: "search" }))
    const context = yield* Layer.build(NodeHttpClient.layerUndici)
    const bare = EffectAi.make(server.url)
    const connector = {
      ...bare,
      issues: Effect.succeed([]),
      open: (host: Connector.SessionHost) =>
        Effect.provideService(bare.open(host), HttpClient.HttpClient, Context.get(context, HttpClient.HttpClient))
    }
    const tool = new McpSchema.Tool({ name: "search", inputSchema: { type: "object" } })
    const result = yield* ask(connector, tool)
    assert.include(JSON.stringify(result.content), "search")
    assert.deepStrictEqual(yield* server.executions, [{ tool: "search", arguments: { query: "keepalive" } }])
  })
)
