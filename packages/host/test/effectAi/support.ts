/** Effect's client on a kept connection to a real server behind a fault proxy. */
import { ConnectionState } from "@vmcp-keepalive/core"
import { FaultProxy, type McpServer, ScriptedServer, type StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import { type McpClientError, McpSchema } from "effect/ai"
import { KeptMcpClient } from "../../src/effectAi.ts"
import { policy } from "../support.ts"

export const identity = { name: "agent", version: "1.0.0" } as const

/** What a test may say of a connection. */
export type Options = Partial<Omit<KeptMcpClient.Options & KeptMcpClient.ClientOptions, "connector">>

/** A client whose connection lives as long as the scope. */
export const connect = Effect.fnUntraced(function* (
  options: KeptMcpClient.Options & Partial<KeptMcpClient.ClientOptions>
) {
  return Context.get(yield* Layer.build(KeptMcpClient.layer({ ...identity, ...options })), KeptMcpClient.KeptMcpClient)
})

export const settings = (port: number, options: Options = {}) => ({
  id: "effect-ai",
  connector: HttpPeerConnector.make({ url: `http://127.0.0.1:${port}/mcp` }),
  ...options,
  // a server takes its time to start, and no circuit shall open meanwhile
  policy: { ...policy, circuit: "none" as const, waitForSession: "20 seconds" as const, ...options.policy }
})

/** A client of a server that does what it is told. */
export const begin = Effect.fnUntraced(function* (options: Options = {}) {
  const server = yield* ScriptedServer.make()
  const proxy = yield* FaultProxy.make({ target: server })
  return { client: yield* connect(settings(proxy.port, options)), proxy, server }
})

/** A client of a child process. */
export const beginStdio = Effect.fnUntraced(function* (
  { args, command }: StdioServers.StdioServer,
  over: Options["policy"] = {}
) {
  const connector = StdioPeerConnector.make({ command, args: [...args] })
  return yield* connect({ id: "effect-ai", connector, policy: { ...policy, ...over } })
})

/** Calls a tool of which nothing but its name is known. */
export const call = (
  client: Pick<KeptMcpClient.KeptMcpClient, "callTool">,
  { arguments: args, name }: McpServer.Call,
  options?: { readonly timeout?: number }
): Effect.Effect<string, McpClientError.McpClientError> =>
  Effect.map(
    client.callTool({ tool: new McpSchema.Tool({ name, inputSchema: { type: "object" } }), arguments: args }, options),
    ({ content }) => content.map((block) => (block.type === "text" ? block.text : block.type)).join()
  )

export const echo = (message: string): McpServer.Call => ({ name: "echo", arguments: { message } })
export const slow = (ms: number): McpServer.Call => ({ name: "slow", arguments: { ms } })

/** The tools that the server has executed, in order. */
export const executed = (server: { readonly executions: McpServer.McpServer["executions"] }) =>
  Effect.map(server.executions, (all) => all.map(({ tool }) => tool))

/** Waits until so many calls have begun at the server. */
export const begun = (server: { readonly executions: McpServer.McpServer["executions"] }, times = 1) =>
  until(Effect.map(server.executions, (all) => all.length >= times))

export const until = <E>(fulfilled: Effect.Effect<boolean, E>) =>
  Effect.repeat(fulfilled, { until: (is) => is, schedule: Schedule.spaced("5 millis") })

export const untilState = (
  client: KeptMcpClient.KeptMcpClient,
  ...tags: ReadonlyArray<ConnectionState.ConnectionState["_tag"]>
) =>
  client.transport.backend.changes.pipe(
    Stream.filter(({ _tag }) => tags.includes(_tag)),
    Stream.runHead
  )

export const generation = (client: KeptMcpClient.KeptMcpClient) =>
  Effect.map(client.transport.backend.state, (state) => (state._tag === "Connected" ? state.generation : undefined))

/** What an error says of the call, where it is one of this library's own. */
export const told = (error: McpClientError.McpClientError) => {
  const data = KeptMcpClient.dataOf(error)
  return data && ([data.error, data.executed] as const)
}
