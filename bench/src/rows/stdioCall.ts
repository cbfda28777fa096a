/** What a tool call over stdio takes and costs through a backend, beside the SDK's client and transport as they are. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Effect } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Calls from "../Calls.ts"
import type { Row } from "../Row.ts"

/** So many that after the rounds that do not count the JIT has compiled what a host runs for days. */
const times = 1000

const sdk = "SDK client.callTool"
const ours = "backend.use(client.callTool)"

export const stdioCall: Row = {
  name: "stdio-call",
  title: "A tool call on a healthy stdio connection",
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* StdioServers.scripted()
    const bare = yield* BareClient.stdio(server)
    const backend = yield* Backend.make({
      id: "stdio-call",
      connector: StdioConnector.make({ command: server.command, args: server.args })
    })
    yield* backend.awaitConnected
    const echo = (client: Client) => client.callTool({ name: "echo", arguments: { message: "hello" } })
    const results = yield* Calls.interleave(
      [Calls.promised(sdk, () => echo(bare.client)), Calls.effect(ours, Effect.orDie(backend.use(echo)))],
      { times, rounds: 31, warmUp: 10 }
    )
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: ours,
          beside: sdk,
          most: 1.05,
          because: "both write a line into a pipe and read one"
        })
      ]
    }
  })
}
