/** A client of SDK 2.x linked in memory with the SDK's own server of both eras, with the requests between them recorded. */
import { createMcpHandler, inputRequired, acceptedContent, McpServer } from "@modelcontextprotocol/server"
import type { Client } from "@modelcontextprotocol/client"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { Scope } from "effect"
import { CallView, ClientTransport, Message, type Requests } from "../../src/sdk2/index.ts"

/** What a server gives in answer to a request: messages, the last of which is the answer. */
export type Answering = (message: Message.Message, signal: AbortSignal) => Promise<ReadonlyArray<unknown>>

/** A client with its server. */
export interface Link {
  readonly client: Client
  readonly transport: ClientTransport.ClientTransport
  readonly requests: Requests.Requests
  readonly subscriptions: Set<string>
  /** the requests and notifications that went out, in order */
  readonly wire: Array<Message.Message>
  /** the ids of the requests whose holdings were freed */
  readonly released: Array<Message.Id>
  /** what the client was told that it could not make use of */
  readonly complaints: Array<string>
  /** HTTP headers that were given for one request alone, by the id of the request */
  readonly headers: Map<Message.Id, object>
}

const content = (text: string) => ({ content: [{ type: "text" as const, text }] })

/** A server with the tools `echo`, `ask`, which asks for a name first, and `hang`. */
const makeServer = (): McpServer => {
  const server = new McpServer(
    { name: "test", version: "1.0.0" },
    { capabilities: { tools: {} }, cacheHints: { "tools/list": { ttlMs: 60_000, cacheScope: "private" } } }
  )
  server.registerTool("echo", {}, () => content("echo"))
  server.registerTool("hang", {}, () => new Promise<never>(() => {}))
  server.registerTool("ask", {}, async (context) => {
    const answers = context.mcpReq.inputResponses
    const given = answers === undefined ? undefined : acceptedContent(answers, "name")
    if (given === undefined)
      return inputRequired({
        inputRequests: {
          name: inputRequired.elicit({
            message: "Your name?",
            requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] }
          })
        }
      })
    return content(`hello ${String(given["name"])}`)
  })
  return server
}

/** The SDK's server, of both eras or of one. */
export const server = (legacy: "stateless" | "reject" = "stateless"): Answering => {
  const handler = createMcpHandler(makeServer, { legacy })
  return async (message, signal) => {
    const revision = "method" in message ? Message.revisionOf(message) : undefined
    const params: Message.Params = ("params" in message ? message.params : undefined) ?? {}
    const response = await handler.fetch(
      new Request("http://localhost/mcp", {
        method: "POST",
        signal,
        body: JSON.stringify(message),
        headers: {
          accept: "application/json, text/event-stream",
          "content-type": "application/json",
          ...(revision === undefined || !("method" in message)
            ? {}
            : {
                "mcp-protocol-version": revision,
                "mcp-method": message.method,
                ...(typeof params["name"] === "string" ? { "mcp-name": params["name"] } : {})
              })
        }
      })
    )
    const text = await response.text()
    if (text === "") return []
    return text.startsWith("{")
      ? [JSON.parse(text)]
      : text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []))
  }
}

/** What the message is at the other end of a wire: what `JSON` does not see is gone. */
const overWire = <M extends Message.Message>(message: M): M => JSON.parse(JSON.stringify(message))

/** Links a client with a server; connecting them is left to the test. */
export const link = (options: CallView.Options = {}, answering: Answering = server()): Link => {
  const complaints: Array<string> = []
  const subscriptions = new Set<string>()
  const wire: Array<Message.Message> = []
  const released: Array<Message.Id> = []
  const headers: Link["headers"] = new Map()
  const transport = new ClientTransport.ClientTransport({
    subscriptions,
    hasPerRequestStream: true,
    request: (message, pending, options) => {
      const stream = new AbortController()
      pending.record.fate = "dispatched"
      pending.release = () => {
        released.push(message.id)
        stream.abort()
      }
      const sent = overWire(message)
      wire.push(sent)
      if (options?.headers !== undefined) headers.set(message.id, options.headers)
      answering(sent, stream.signal).then(
        (answers) => {
          for (const value of answers) {
            const answer = Message.of(value)
            if (answer !== undefined) requests.received(answer)
          }
        },
        (error: Error) =>
          requests.fail(pending, pending.record.evidence ?? Evidence.transportFailure("stream_cut"), error)
      )
    },
    transmit: async (message) => {
      wire.push(overWire(message))
      await answering(overWire(message), new AbortController().signal)
    },
    closed: () => requests.close()
  })
  const { requests } = transport
  const client = Effect.runSync(CallView.kind(options).make)
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
  client.onerror = (error) => void complaints.push(error.message)
  return { client, transport, requests, subscriptions, wire, released, complaints, headers }
}

/** Connects a client with a server until the scope closes. */
export const connect = (
  options?: CallView.Options,
  answering?: Answering,
  known?: "legacy"
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const made = link(options, answering)
      await CallView.kind(options).connect(made.client, made.transport, known)
      return made
    }),
    ({ client }) => Effect.promise(() => client.close())
  )

/** The methods of what was sent. */
export const methods = ({ wire }: Link): ReadonlyArray<string> =>
  wire.flatMap((message) => ("method" in message ? [message.method] : []))
