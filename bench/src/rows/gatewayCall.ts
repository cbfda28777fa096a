/**
 * What a tool call takes through the gateway, beside the server itself and beside the gateways of others: each is the program that its
 * users run, in a process of its own, in front of the same kind of server.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { McpServers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"
import { fileURLToPath } from "node:url"
import * as BareClient from "../BareClient.ts"
import * as Calls from "../Calls.ts"
import * as GatewayProgram from "../GatewayProgram.ts"
import * as Sdk2Client from "../Sdk2Client.ts"
import type { Limit, Measured, Result, Row } from "../Row.ts"
import * as Started from "../Started.ts"

/** So many that after the rounds that do not count the JIT of every process has compiled what it runs for days. */
const rounds = { times: 300, rounds: 11, warmUp: 7 }

const modernServer = fileURLToPath(import.meta.resolve("../programs/modernServer.js"))

const direct = "the server itself"
const ours = "vmcp-keepalive serve"
const proxy = "mcp-proxy"
const another = "supergateway, stateful"

const echo = { name: "echo", arguments: { message: "hello" } }

/** Calls of the SDK's client; what they cost the process that stands in between, where one does. */
const caller = (name: string, client: Client, pid?: number) =>
  Calls.promised(name, () => client.callTool(echo), pid === undefined ? () => Number.NaN : () => Started.cpuOf(pid))

const measured = (results: ReadonlyArray<Result<Calls.Taken>>): Measured => ({
  contestants: Calls.of(results, "wall"),
  also: [
    { title: "The 99th of a hundred of the same calls", unit: "µs", contestants: Calls.of(results, "p99") },
    { title: "CPU of the gateway's process for it", unit: "µs", contestants: Calls.of(results.slice(1), "cpu") }
  ]
})

const atMost = (results: ReadonlyArray<Result<Calls.Taken>>, beside: string): Limit =>
  Calls.limit(results, {
    quantity: "wall",
    of: ours,
    beside,
    most: 1,
    because:
      "each reads a message, hands it to the server and hands back the answer: that one keeps connections alive is no reason to be slower"
  })

const overStdio = (
  name: string,
  title: string,
  backend: McpServers.Backend,
  described: Effect.Effect<StdioServers.StdioServer, never, Scope.Scope>
): Row => ({
  name,
  title,
  unit: "µs",
  run: Effect.gen(function* () {
    const { args, command } = yield* described
    const bare = yield* BareClient.stdio(yield* described)
    const own = yield* GatewayProgram.serve({ mcpServers: { server: { command, args } } })
    const proxied = yield* McpServers.mcpProxy({ backend })
    const supered = yield* McpServers.supergateway({ backend })
    const results = yield* Calls.interleave(
      [
        caller(direct, bare.client),
        caller(ours, yield* BareClient.http(own.said.mcp), own.pid),
        caller(proxy, yield* BareClient.http(proxied.url), yield* proxied.pid),
        caller(another, yield* BareClient.http(supered.url), yield* supered.pid)
      ],
      rounds
    )
    return { ...measured(results), limits: [atMost(results, proxy), atMost(results, another)] }
  })
})

export const gatewayStdio = overStdio(
  "gateway-stdio",
  "A tool call of an SDK 1 client, over HTTP through a gateway, to a server over stdio that answers at once",
  "small",
  StdioServers.scripted()
)

export const gatewayReal = overStdio(
  "gateway-real",
  "The same to server-everything over stdio",
  "everything",
  StdioServers.everything
)

/** The others stand in front of servers over stdio only. */
export const gatewayHttp: Row = {
  name: "gateway-http",
  title: "A tool call of an SDK 1 client, through the gateway, to a server over HTTP",
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make()
    const own = yield* GatewayProgram.serve({ mcpServers: { server: { url: server.url } } })
    const results = yield* Calls.interleave(
      [caller(direct, yield* BareClient.http(server.url)), caller(ours, yield* BareClient.http(own.said.mcp), own.pid)],
      rounds
    )
    return measured(results)
  })
}

export const gatewayModern: Row = {
  name: "gateway-modern",
  title: "A tool call of an SDK 2 client of 2026-07-28, through the gateway, to a server of that era",
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* Started.start<Pick<GatewayProgram.Addresses, "mcp">>(modernServer, [])
    const own = yield* GatewayProgram.serve({ mcpServers: { server: { url: server.said.mcp } } })
    const [bare, through] = [yield* Sdk2Client.http(server.said.mcp), yield* Sdk2Client.http(own.said.mcp)]
    const results = yield* Calls.interleave(
      [
        Calls.promised(
          direct,
          () => bare.callTool(echo),
          () => Started.cpuOf(server.pid)
        ),
        Calls.promised(
          ours,
          () => through.callTool(echo),
          () => Started.cpuOf(own.pid)
        )
      ],
      rounds
    )
    return measured(results)
  })
}
