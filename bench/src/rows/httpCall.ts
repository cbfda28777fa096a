/**
 * What a tool call over HTTP takes and costs through a backend, beside the SDK's client and transport as they are, and
 * beside JSON-RPC without a client.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend } from "@vmcp-keepalive/core"
import { McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Effect } from "effect"
import * as BareClient from "../BareClient.ts"
import * as Calls from "../Calls.ts"
import * as RawClient from "../RawClient.ts"
import type { Row } from "../Row.ts"

/** So many that after the rounds that do not count the JIT has compiled what a host runs for days. */
const times = 500

const sdk = "SDK client.callTool"
const rawName = "JSON-RPC over undici's dispatch"
const ours = "backend.use(client.callTool)"
const withFetch = "the same, with Node's fetch"

/** The four of them on one server. */
const contestants = (name: string, url: string, echo: (client: Client) => Promise<unknown>, raw: Raw) =>
  Effect.gen(function* () {
    const bare = yield* BareClient.http(url)
    const direct = yield* RawClient.make(url)
    const own = yield* Backend.make({ id: name, connector: HttpConnector.make({ url }) })
    const fetching = yield* Backend.make({
      id: `${name}-fetch`,
      connector: HttpConnector.make({ url, fetch: globalThis.fetch })
    })
    yield* own.awaitConnected
    yield* fetching.awaitConnected
    return yield* Calls.interleave(
      [
        Calls.promised(sdk, () => echo(bare)),
        Calls.promised(rawName, () => raw(direct)),
        Calls.effect(ours, Effect.orDie(own.use(echo))),
        Calls.effect(withFetch, Effect.orDie(fetching.use(echo)))
      ],
      { times, rounds: 21, warmUp: 8 }
    )
  })

type Raw = (client: RawClient.RawClient) => Promise<unknown>

const row = (name: string, answers: "sse" | "json"): Row => ({
  name,
  title: `A tool call on a healthy HTTP connection, answered as ${answers === "sse" ? "an SSE stream" : "JSON"}`,
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* ScriptedServer.make({ answers })
    const results = yield* contestants(
      name,
      server.url,
      (client) => client.callTool({ name: "echo", arguments: { message: "hello" } }),
      (direct) => direct.callTool("echo", { message: "hello" })
    )
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, { quantity: "wall", of: ours, beside: sdk, most: 0.55, because: ownWire }),
        Calls.limit(results, { quantity: "cpu", of: ours, beside: sdk, most: 0.45, because: ownWire }),
        Calls.limit(results, {
          quantity: "wall",
          of: ours,
          beside: rawName,
          most: 1.3,
          because: "what the SDK's client and the backend add is little beside what the socket takes"
        }),
        Calls.limit(results, {
          quantity: "wall",
          of: withFetch,
          beside: sdk,
          most: 1.1,
          because: "the SDK sends through the same fetch"
        })
      ]
    }
  })
})

/**
 * The scripted server takes a tenth of what a real one does, so that all there is beside it shows. On a real one, what the client
 * and the backend add must be little.
 */
export const httpCallReal: Row = {
  name: "http-call-real",
  title: "A tool call on a healthy HTTP connection to server-everything, answered as an SSE stream",
  unit: "µs",
  run: Effect.gen(function* () {
    const server = yield* McpServers.everything
    const results = yield* contestants(
      "http-call-real",
      server.url,
      (client) => client.callTool({ name: "echo", arguments: { message: "hello" } }),
      (direct) => direct.callTool("echo", { message: "hello" })
    )
    return {
      ...Calls.measured(results, "it"),
      limits: [
        Calls.limit(results, {
          quantity: "wall",
          of: ours,
          beside: rawName,
          most: 1.3,
          because: "what the SDK's client and the backend add is little beside what the socket and the server take"
        })
      ]
    }
  })
}

const ownWire = "no fetch, no Response and no Web stream stand between a message and its socket"

export const httpCallSse = row("http-call-sse", "sse")
export const httpCallJson = row("http-call-json", "json")
