/** What a tool call over HTTP costs through a backend, beside the SDK's client and transport as they are. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Rounds from "../Rounds.ts"
import type { Row } from "../Row.ts"

const times = 25

const row = (name: string, answers: "sse" | "json"): Row => ({
  name,
  title: `A tool call on a healthy HTTP connection, answered as ${answers === "sse" ? "an SSE stream" : "JSON"}`,
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make({ answers })
    const bare = yield* BareClient.http(server.url)
    const backend = yield* Backend.make({ id: name, connector: HttpConnector.make({ url: server.url }) })
    yield* backend.awaitConnected
    const echo = (client: Client) => client.callTool({ name: "echo", arguments: { message: "hello" } })
    const call = Effect.orDie(backend.use(echo))
    return yield* Rounds.interleave(
      [
        Rounds.inMicroseconds(Rounds.promised("SDK client.callTool", times, () => echo(bare))),
        Rounds.inMicroseconds(Rounds.effect("backend.use(client.callTool)", times, call))
      ],
      { rounds: 41, warmUp: 10 }
    )
  })
})

export const httpCallSse = row("http-call-sse", "sse")
export const httpCallJson = row("http-call-json", "json")
