/**
 * The server side of MCP 2026-07-28 is the SDK's: a server of which everything that is not the SDK's own (`server/discover`,
 * `subscriptions/listen`) goes to the gateway as it is.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  type McpServer,
  type ServerContext
} from "@modelcontextprotocol/server"
import { AnswerError, type Asked, type Words } from "./connection.ts"
import type { Connections } from "./connections.ts"
import { type Declared, Declaring } from "./declared.ts"
import { Subscriptions } from "./subscriptions.ts"

/** What its servers are made of. */
export interface Options {
  readonly connections: Connections
  readonly declared: Declared
  /** There is no such method, as far as it was asked now. */
  readonly onUnknown?: (() => void) | undefined
}

/** A server that says of itself what the gateway says. */
export const serverOf = async ({ connections, declared, onUnknown }: Options): Promise<McpServer> => {
  const { capabilities, instructions, serverInfo } = await connections.base.server
  const { name, version } = serverInfo as { readonly name: string; readonly version: string }
  const declaring = new Declaring(
    declared,
    { name, version },
    typeof instructions === "string" ? { instructions } : undefined
  )
  const { server } = declaring
  // said to the constructor, they would have it answer by itself
  server.registerCapabilities(capabilities as Record<string, never>)
  server.fallbackRequestHandler = async ({ method, params }, context) => {
    try {
      const result = await connections.of(wordsOf(context)).ask(askedOf(method, params, context))
      if (method === "tools/list") declared.listed(result)
      return result
    } catch (error) {
      if (error instanceof AnswerError && error.code === methodNotFound && !naming.has(method)) onUnknown?.()
      throw error
    }
  }
  return declaring
}

/** JSON-RPC 2.0, section 5.1. */
const methodNotFound = -32601

/** Methods of which a server may say that they are not there where it means what they name. */
const naming: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"])

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
