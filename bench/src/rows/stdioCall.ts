/** What a tool call over stdio costs through a backend, beside the SDK's client and transport as they are. */
import { NodeServices } from "@effect/platform-node"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Effect } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"

const times = 50

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
    const call = Effect.orDie(backend.use(echo))
    return yield* Rounds.interleave(
      [
        Rounds.inMicroseconds(Rounds.promised("SDK client.callTool", times, () => echo(bare.client))),
        Rounds.inMicroseconds(Rounds.effect("backend.use(client.callTool)", times, call))
      ],
      { rounds: 41, warmUp: 20 }
    )
  }).pipe(Effect.provide(NodeServices.layer))
}
