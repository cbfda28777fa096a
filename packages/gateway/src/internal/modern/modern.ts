/**
 * MCP 2026-07-28: requests that stand for themselves, each with what its client says of itself. The server side is the SDK's; what it is
 * asked goes to the gateway as it is.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  createMcpHandler,
  isLegacyRequest,
  LOG_LEVEL_META_KEY,
  Server,
  type ServerContext
} from "@modelcontextprotocol/server"
import type { Asked, Words } from "./connection.ts"
import { Connections, type Options as ConnectionsOptions } from "./connections.ts"
import { Subscriptions } from "./subscriptions.ts"

/** What it is made of. */
export type Options = Pick<ConnectionsOptions, "open">

/** See the module. */
export interface Modern {
  /** Answers a request of that era. */
  readonly fetch: (request: Request) => Promise<Response>
  readonly close: () => Promise<void>
}

/** As many bytes as a message of a server's may have. */
const maxRequestBodySize = 16 * 1024 * 1024

/** Whether a request is of an earlier era: said by its headers, or else by its body. */
export const isLegacy = (request: Request): boolean | Promise<boolean> => {
  // ISO dates, of which the earlier ones come first
  const version = request.headers.get("mcp-protocol-version")
  if (request.headers.has("mcp-session-id") || (version !== null && version < firstModern)) return true
  return isLegacyRequest(request, undefined, { maxRequestBodySize })
}

const firstModern = "2026-07-28"

export const make = ({ open }: Options): Modern => {
  const connections = new Connections({ open, onNotification: (notification) => changed(notification) })
  const serverOf = async (): Promise<Server> => {
    const { capabilities, instructions, serverInfo } = await connections.base.server
    const { name, version } = serverInfo as { readonly name: string; readonly version: string }
    const server = new Server(
      { name, version },
      {
        capabilities: capabilities as Record<string, never>,
        ...(typeof instructions === "string" ? { instructions } : {})
      }
    )
    // every request that is not the SDK's own (`server/discover`, `subscriptions/listen`)
    server.fallbackRequestHandler = (request, context) =>
      connections.of(wordsOf(context)).ask(askedOf(request.method, request.params, context))
    return server
  }
  const handler = createMcpHandler(serverOf, { legacy: "reject", maxRequestBodySize })
  let isClosed = false
  const subscriptions = new Subscriptions((method, uri) => {
    const asked = {
      method,
      params: { uri },
      onNotification: () => {},
      logLevel: undefined,
      requestState: undefined,
      inputResponses: undefined
    }
    // what cannot be subscribed to is not told of
    if (!isClosed) connections.base.ask({ ...asked, signal: new AbortController().signal }).catch(() => {})
  })
  const changed = ({ method, params }: Message.Notification): void => {
    const { notify } = handler
    if (method === "notifications/tools/list_changed") notify.toolsChanged()
    else if (method === "notifications/prompts/list_changed") notify.promptsChanged()
    else if (method === "notifications/resources/list_changed") notify.resourcesChanged()
    else if (method === "notifications/resources/updated") notify.resourceUpdated(String(params?.["uri"]))
  }
  return {
    fetch: async (request) => subscriptions.attend(request, (passed) => handler.fetch(passed)),
    close: async () => {
      isClosed = true
      await handler.close()
      await connections.close()
    }
  }
}

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
