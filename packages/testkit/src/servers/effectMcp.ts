/** Effect's own MCP server over HTTP: `node effectMcp port log [both]`, where it speaks MCP 2026-07-28 as well. */
// By module: the whole packages take twice as long to import, each time that a test starts it.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as HttpRouter from "effect/http/HttpRouter"
import { appendFileSync } from "node:fs"
import { createServer } from "node:http"

const [port = "0", log = "/dev/null", eras] = process.argv.slice(2)
const legacy = [McpProtocol.v2025_11_25, McpProtocol.v2025_06_18] as const
const executed = (tool: string, args: unknown) =>
  Effect.sync(() => appendFileSync(log, `${JSON.stringify({ tool, arguments: args })}\n`))

const tools = Toolkit.make(
  Tool.make("echo", { parameters: Schema.Struct({ message: Schema.String }), success: Schema.String }),
  Tool.make("slow", { parameters: Schema.Struct({ ms: Schema.Number }), success: Schema.String }),
  Tool.make("fail", { parameters: Tool.EmptyParams, success: Schema.String, failure: Schema.String })
)

const handlers = tools.toLayer({
  echo: (args) => Effect.as(executed("echo", args), `Echo: ${args.message}`),
  slow: (args) => executed("slow", args).pipe(Effect.andThen(Effect.sleep(args.ms)), Effect.as("done")),
  fail: (args) => Effect.andThen(executed("fail", args), Effect.fail("it failed"))
})

McpServer.layerHttp({
  name: "effect-mcp",
  version: "1.0.0",
  path: "/mcp",
  protocols: eras === "both" ? [McpProtocol.v2026_07_28, ...legacy] : legacy,
  allowSessionTermination: true,
  registrations: McpServer.toolkit(tools).pipe(Layer.provide(handlers))
}).pipe(
  HttpRouter.serve,
  Layer.provide(NodeHttpServer.layer(createServer, { port: Number(port), host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
