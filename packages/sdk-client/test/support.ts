/** A client linked with the SDK's own server in memory, with the requests between them recorded. */
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
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { Scope } from "effect"
import { CallView, type ClientKind, ClientTransport, Message, type Requests } from "../src/index.ts"

/** A client with its server. */
export interface Link<C> {
  readonly kind: ClientKind.ClientKind<C>
  readonly client: C
  readonly transport: ClientTransport.ClientTransport
  readonly requests: Requests.Requests
  readonly subscriptions: Set<string>
  /** the methods of the requests and notifications that went out, in order */
  readonly sent: Array<string>
  /** all that went out, as the server got it */
  readonly wire: Array<Message.Message>
  /** the methods of the requests whose holdings were freed since the handshake */
  readonly released: Array<string>
  /** what the client was told that it could not make use of */
  readonly complaints: Array<string>
  /** how a message goes out: at once, unless the test says otherwise; a request gets here as it is pending */
  transmit: (send: () => Promise<void>, pending: Requests.Pending | undefined) => Promise<void>
  /** sends a message as the server would */
  readonly fromServer: (message: Message.Message) => Promise<void>
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

/** What the message is at the other end of a wire: what `JSON` does not see is gone. */
const overWire = <M extends Message.Message>(message: M): M & JSONRPCMessage => JSON.parse(JSON.stringify(message))

/** Links a client with the server; it is not connected yet. */
const linkWith = async <C>(
  kind: ClientKind.ClientKind<C>,
  server: McpServer,
  uris: Iterable<string>,
  complaints: Array<string>
): Promise<Link<C>> => {
  const [near, far] = InMemoryTransport.createLinkedPair()
  const subscriptions = new Set(uris)
  const send = (message: Message.Message) => {
    if ("method" in message) link.sent.push(message.method)
    const received = overWire(message)
    link.wire.push(received)
    return near.send(received)
  }
  const transport = new ClientTransport.ClientTransport({
    subscriptions,
    request: (message, pending) => {
      const dispatch = () => {
        pending.record.fate = "dispatched"
        pending.release = () => void link.released.push(pending.record.method)
        return send(message)
      }
      link.transmit(dispatch, pending).catch((error: Error) => {
        link.requests.fail(pending, pending.record.evidence ?? Evidence.transportFailure("unknown"), error)
      })
    },
    transmit: (message) => link.transmit(() => send(message), undefined),
    closed: () => {
      link.requests.close()
      void near.close()
    }
  })
  const link: Link<C> = {
    kind,
    client: Effect.runSync(kind.make),
    transport,
    requests: transport.requests,
    subscriptions,
    sent: [],
    wire: [],
    released: [],
    complaints,
    transmit: (send) => send(),
    fromServer: (message) => far.send(overWire(message))
  }
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
  near.onmessage = (value) => {
    const message = Message.of(value)
    if (message === undefined) throw new Error("the server sent no message")
    link.requests.received(message)
  }
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
  near.onclose = () => void transport.close()
  await server.connect(far)
  return link
}

/** Connects a client of any kind with the server until the scope closes. */
export const connectAs = <C>(
  kind: ClientKind.ClientKind<C>,
  server: McpServer = makeServer(),
  uris: Iterable<string> = [],
  complaints: Array<string> = []
): Effect.Effect<Link<C>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const link = await linkWith(kind, server, uris, complaints)
      await kind.connect(link.client, link.transport)
      link.released.length = 0
      return link
    }),
    ({ client }) => Effect.promise(() => kind.close(client))
  )

/** Links a client of any kind with the server; connecting them is left to the test. */
export const linkAs = <C>(kind: ClientKind.ClientKind<C>, server: McpServer = makeServer()): Promise<Link<C>> =>
  linkWith(kind, server, [], [])

/** Connects a client of the SDK with the server until the scope closes. */
export const connect = (server?: McpServer, uris?: Iterable<string>): Effect.Effect<Link<Client>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const complaints: Array<string> = []
    const make = () => {
      const client = new Client({ name: "test", version: "1.0.0" })
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
      client.onerror = (error) => void complaints.push(error.message)
      return client
    }
    return connectAs(CallView.kind(make), server, uris, complaints)
  })

/** Begins a call of one request; `ended` resolves with its result or its error. */
export const begin = <C>({ client, kind, requests }: Link<C>, send: (client: C) => Promise<unknown>) => {
  const call = kind.call(requests, client)
  const ended = send(call.client).catch((error: unknown) => error)
  const [record] = call.requests
  if (record === undefined) throw new Error("no request was made")
  return { record, ended, records: call.requests }
}

/** The one request that is under way. */
export const only = ({ pending }: Requests.Requests): Requests.Pending => {
  const [first] = pending.values()
  if (first === undefined || pending.size !== 1) throw new Error(`${pending.size} requests are under way`)
  return first
}

/** Everything that waits for no one else has run when it resolves. */
export const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** How many requests the SDK's client holds something for. */
export const handlers = (client: Client): number => {
  const held: unknown = Reflect.get(client, "_responseHandlers")
  if (!(held instanceof Map)) throw new Error("the SDK's client keeps its handlers elsewhere")
  return held.size
}
