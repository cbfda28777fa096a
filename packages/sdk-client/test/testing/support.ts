/** A server that keeps a ledger, on the SDK's `Server`, and a backend of it. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Backend, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { TestServer } from "../../src/testing/index.ts"

/** What the server has done. */
export interface Ledger {
  /** what was charged, in order: once for each execution of the tool */
  readonly charged: Array<number>
  /** the subscriptions, in order, each with its session */
  readonly subscribed: Array<string>
  /** executions of `wait`, each to be ended by the test */
  readonly waiting: Array<() => void>
  /** executions of `wait` whose signal was aborted */
  aborted: number
}

/** Makes servers with the tools `charge` and `wait`, which count what they execute. */
export const makeServer = (ledger: Ledger) => (): Server => {
  const server = new Server(
    { name: "test", version: "1.0.0" },
    { capabilities: { resources: { subscribe: true }, tools: {} } }
  )
  const tools = ["charge", "wait"].map((name) => ({ name, inputSchema: { type: "object" as const } }))
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { sendNotification, signal }) => {
    if (params.name === "charge") {
      const amount = Number(params.arguments?.["amount"])
      ledger.charged.push(amount)
      return { content: [{ type: "text", text: `charged ${amount}` }] }
    }
    return new Promise((resolve) => {
      const progressToken = params._meta?.progressToken
      ledger.waiting.push(() => {
        if (progressToken === undefined) return resolve({ content: [] })
        void sendNotification({ method: "notifications/progress", params: { progressToken, progress: 1 } })
      })
      signal.addEventListener("abort", () => ledger.aborted++)
    })
  })
  server.setRequestHandler(SubscribeRequestSchema, ({ params: { uri } }, { sessionId }) => {
    ledger.subscribed.push(`${uri} in ${sessionId}`)
    return {}
  })
  server.setRequestHandler(UnsubscribeRequestSchema, () => ({}))
  return server
}

/** A test server with a ledger, and a backend of it. */
export const start = (policy: KeepalivePolicy.Options = {}, options: Partial<TestServer.Options> = {}) =>
  Effect.gen(function* () {
    const ledger: Ledger = { charged: [], subscribed: [], waiting: [], aborted: 0 }
    const server = TestServer.make({ server: makeServer(ledger), ...options })
    const backend: Backend.Backend<Client> = yield* Backend.make({
      id: "billing",
      connector: server.connector,
      policy: { interval: "30 seconds", ...policy }
    })
    return { backend, ledger, server }
  })

/** Charges an amount. */
export const charge =
  (amount: number) =>
  async (client: Client, signal: AbortSignal): Promise<unknown> =>
    (await client.callTool({ name: "charge", arguments: { amount } }, undefined, { signal })).content

/** Calls the tool that does not end by itself. */
export const wait = (client: Client, signal: AbortSignal): Promise<unknown> =>
  client.callTool({ name: "wait" }, undefined, { signal })

/** The state, by its name. */
export const stateOf = (backend: Backend.Backend<unknown>): Effect.Effect<string> =>
  Effect.map(backend.state, ({ _tag }) => _tag)
