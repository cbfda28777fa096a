/** Effect AI: `McpClient` on a `McpClient.Transport`. */
import { NodeServices } from "@effect/platform-node"
import { KeptMcpClient } from "@vmcp-keepalive/host/effect-ai"
import { Cause, Effect, Exit, Layer, Scope } from "effect"
import { McpClient, McpProtocol } from "effect/ai"
import { FetchHttpClient } from "effect/http"
import { ChildProcess } from "effect/process"
import { type Framework, type Host, text, Told } from "../support/framework.ts"
import type { Server } from "../support/stage.ts"

const protocol = McpProtocol.v2025_11_25

const host = async <E>(transport: Layer.Layer<McpClient.Transport, E>): Promise<Host> => {
  const scope = Scope.makeUnsafe()
  const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  const connected = Effect.gen(function* () {
    const services = yield* Layer.build(transport)
    const client = yield* Effect.provide(McpClient.make({ name: "matrix", version: "1.0.0" }), services)
    return { client, tools: yield* client.listTools() }
  }).pipe(Scope.provide(scope))
  const { client, tools } = await unwrapped(connected).catch(async (error: unknown) => {
    await close()
    throw error
  })
  return {
    call: (name, args, { signal, timeout } = {}) => {
      const tool = tools.find((tool) => tool.name === name)
      const called = Effect.flatMap(Effect.fromNullishOr(tool), (tool) =>
        client.callTool({ tool, arguments: { ...args } }, { timeout })
      )
      return unwrapped(Effect.map(called, text), signal)
    },
    told: new Told(),
    close
  }
}

/** Rejects with the reason, which has the `code` and the `data` of an answer. */
const unwrapped = async <A, E>(effect: Effect.Effect<A, E>, signal?: AbortSignal): Promise<A> => {
  const exit = await Effect.runPromiseExit(effect, { ...(signal && { signal }) })
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  throw typeof error === "object" && error !== null && "reason" in error ? error.reason : error
}

const bare = (server: Server) =>
  server.kind === "http"
    ? Layer.provide(
        Layer.effect(McpClient.Transport, McpClient.http({ url: server.url, protocol })),
        FetchHttpClient.layer
      )
    : Layer.provide(
        Layer.effect(
          McpClient.Transport,
          McpClient.stdio({ command: ChildProcess.make(server.command, server.args), protocol })
        ),
        NodeServices.layer
      )

export const effectAi: Framework = {
  name: "Effect AI",
  bare: (server) => host(bare(server)),
  kept: ({ telemetry = Layer.empty, ...options }) =>
    host(Layer.provide(KeptMcpClient.layerTransport(options), telemetry)),
  shows: "data",
  canTimeOut: true
}
