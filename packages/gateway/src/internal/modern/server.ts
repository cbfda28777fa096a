/**
 * The server side of MCP 2026-07-28 is the SDK's: a server of which everything that is not the SDK's own (`server/discover`,
 * `subscriptions/listen`) goes to the gateway as it is.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  Server,
  type ServerContext
} from "@modelcontextprotocol/server"
import type { Asked, Words } from "./connection.ts"
import type { Connections } from "./connections.ts"
import { Subscriptions } from "./subscriptions.ts"

/** A server that says of itself what the gateway says. */
export const serverOf = async (connections: Connections): Promise<Server> => {
  const { capabilities, instructions, serverInfo } = await connections.base.server
  const { name, version } = serverInfo as { readonly name: string; readonly version: string }
  const server = new Server(
    { name, version },
    {
      capabilities: capabilities as Record<string, never>,
      ...(typeof instructions === "string" ? { instructions } : {})
    }
  )
  server.fallbackRequestHandler = (request, context) =>
    connections.of(wordsOf(context)).ask(askedOf(request.method, request.params, context))
  return server
}

/** Subscribes for all clients, on the connection that hears of it. */
export const subscriptionsOf = (connections: Connections): Subscriptions =>
  new Subscriptions((method, uri) => {
    const asked = {
      method,
      params: { uri },
      onNotification: () => {},
      logLevel: undefined,
      requestState: undefined,
      inputResponses: undefined
    }
    // what cannot be subscribed to is not told of
    if (!connections.isClosed) connections.base.ask({ ...asked, signal: new AbortController().signal }).catch(() => {})
  })

/** What a request says in its envelope. */
const saidBy = ({ mcpReq: { envelope } }: ServerContext): Readonly<Record<string, unknown>> => ({ ...envelope })

const wordsOf = (context: ServerContext): Words => {
  const said = saidBy(context)
  return { clientInfo: said[CLIENT_INFO_META_KEY] ?? anonymous, capabilities: said[CLIENT_CAPABILITIES_META_KEY] ?? {} }
}

const anonymous = { name: "anonymous", version: "0" }

const askedOf = (method: string, params: unknown, context: ServerContext): Asked => {
  const { mcpReq } = context
  const level = saidBy(context)[LOG_LEVEL_META_KEY]
  const state = mcpReq.requestState()
  const meta: Readonly<Record<string, unknown>> | undefined = mcpReq._meta
  const own = Message.isObject(params) ? params : undefined
  return {
    method,
    params: meta === undefined ? own : { ...own, _meta: meta },
    signal: mcpReq.signal,
    onNotification: ({ method, params }) => {
      mcpReq.notify(params === undefined ? { method } : { method, params }).catch(() => {})
    },
    logLevel: typeof level === "string" ? level : undefined,
    requestState: typeof state === "string" ? state : undefined,
    inputResponses: mcpReq.inputResponses
  }
}
