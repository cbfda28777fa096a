/**
 * What a tool call takes and costs for a host that was given a kept transport, beside `backend.use` and beside the SDK's own
 * transport.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { KeptTransport } from "@vmcp-keepalive/host"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Effect } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Calls from "../Calls.ts"
import type { Row } from "../Row.ts"

const sdk = "SDK client.callTool on its own transport"
const used = "backend.use(client.callTool)"
const kept = "SDK client.callTool on a kept transport"

const echo = (client: Client) => client.callTool({ name: "echo", arguments: { message: "hello" } })

const row = (name: string, answers: "sse" | "json"): Row => ({
  name,
  title: `A tool call of a host, answered as ${answers === "sse" ? "an SSE stream" : "JSON"}`,
  unit: "µs",
  run: Effect.gen(function* () {
    const { url } = yield* ScriptedServer.make({ answers })
    const bare = yield* BareClient.http(url)
    const backend = yield* Backend.make({ id: `${name}-use`, connector: HttpConnector.make({ url }) })
    yield* backend.awaitConnected
    const transport = yield* KeptTransport.make({ id: name, connector: HttpPeerConnector.make({ url }) })
    const host = new Client({ name: "host", version: "0.0.0" })
    yield* Effect.promise(() => host.connect(transport))
    const results = yield* Calls.interleave(
      [
        Calls.promised(sdk, () => echo(bare)),
        Calls.effect(used, Effect.orDie(backend.use(echo))),
        Calls.promised(kept, () => echo(host))
      ],
      { times: 500, rounds: 21, warmUp: 8 }
    )
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: kept,
          beside: used,
          most: 1.15,
          because: "the messages of the host are handed on as they are, and parsed once"
        })
      ]
    }
  })
})

export const hostCallSse = row("host-call-sse", "sse")
export const hostCallJson = row("host-call-json", "json")
