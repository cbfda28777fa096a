/** The SDK's own client and server, linked in memory, with the requests between them recorded. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import {
  ErrorCode,
  McpError,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { Effect } from "effect"
import type { Scope } from "effect"
import { CallView, Requests } from "../src/index.ts"

/** A client with its server. */
export interface Link {
  readonly client: Client
  readonly requests: Requests.Requests
  readonly subscriptions: Set<string>
  /** the methods of what went out, in order */
  readonly sent: Array<string>
  /** the methods of the requests whose holdings were freed */
  readonly released: Array<string>
  /** what the client was told that it could not make use of */
  readonly complaints: Array<string>
  /** how a message goes out: at once, unless the test says otherwise */
  transmit: (send: () => Promise<void>, pending: Requests.Pending | undefined) => Promise<void>
  /** sends a message as the server would */
  readonly fromServer: (message: JSONRPCMessage) => Promise<void>
}

/** A server with the tools `echo`, `fail` and `hang`, and with resources of which `gone:` cannot be subscribed to. */
export const makeServer = (): McpServer => {
  const mcp = new McpServer(
    { name: "test", version: "1.0.0" },
    { capabilities: { resources: { subscribe: true }, tools: {} } }
  )
  mcp.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  mcp.registerTool("fail", {}, () => ({ content: [], isError: true }))
  mcp.registerTool("hang", {}, () => new Promise(() => {}))
  mcp.server.setRequestHandler(SubscribeRequestSchema, ({ params: { uri } }) => {
    if (uri.startsWith("gone:")) throw new McpError(ErrorCode.InvalidParams, "gone")
    return {}
  })
  mcp.server.setRequestHandler(UnsubscribeRequestSchema, () => ({}))
  return mcp
}

/** Connects a client with the server until the scope closes. */
export const connect = (
  server: McpServer = makeServer(),
  uris: Iterable<string> = []
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const [near, far] = InMemoryTransport.createLinkedPair()
      const subscriptions = new Set(uris)
      const link: Link = {
        client: new Client({ name: "test", version: "1.0.0" }),
        requests: new Requests.Requests(subscriptions),
        subscriptions,
        sent: [],
        released: [],
        complaints: [],
        transmit: (send) => send(),
        fromServer: (message) => far.send(message)
      }
      const send = near.send.bind(near)
      near.send = (message, options) =>
        link.requests.send(message, (pending) =>
          link.transmit(() => {
            if (pending !== undefined) {
              pending.record.fate = "dispatched"
              pending.release = () => void link.released.push(pending.record.method)
            }
            if ("method" in message) link.sent.push(message.method)
            return send(message, options)
          }, pending)
        )
      link.requests.attach(near)
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
      link.client.onerror = (error) => void link.complaints.push(error.message)
      await server.connect(far)
      await link.client.connect(near, CallView.patient())
      return link
    }),
    ({ client }) => Effect.promise(() => client.close())
  )

/** Begins a call of one request; `ended` resolves with its result or its error. */
export const begin = ({ client, requests }: Link, send: (client: Client) => Promise<unknown>) => {
  const call = CallView.call(requests, client)
  const ended = send(call.client).catch((error: unknown) => error)
  const [record] = call.requests
  if (record === undefined) throw new Error("no request was made")
  return { record, ended }
}

/** What the SDK's client complains of where an answer comes for a request of which it has no handler. */
export const unknownAnswer = "Received a response for an unknown message ID"
