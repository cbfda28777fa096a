/**
 * MCP 2026-07-28: requests that stand for themselves, each with what its client says of itself. The server side is the SDK's; what it is
 * asked goes to the gateway as it is.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { createMcpHandler, isLegacyRequest } from "@modelcontextprotocol/server"
import { Connections, type Options as ConnectionsOptions } from "./connections.ts"
import { Declared } from "./declared.ts"
import { serverOf, subscriptionsOf } from "./server.ts"

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

/** Whether its headers say that a request is of an earlier era. */
export const saysLegacy = (headers: Pick<Headers, "get">): boolean => {
  // ISO dates, of which the earlier ones come first
  const version = headers.get("mcp-protocol-version")
  return headers.get("mcp-session-id") !== null || (version !== null && version < firstModern)
}

/** Whether its body says so, where its headers do not. */
export const isLegacy = (request: Request): Promise<boolean> =>
  isLegacyRequest(request, undefined, { maxRequestBodySize })

const firstModern = "2026-07-28"

export const make = ({ open }: Options): Modern => {
  const connections = new Connections({ open, onNotification: (notification) => changed(notification) })
  const declared = new Declared()
  const unknown = new WeakSet<Request>()
  const handler = createMcpHandler(
    ({ requestInfo }) => {
      const onUnknown = requestInfo && (() => void unknown.add(requestInfo))
      return serverOf({ connections, declared, onUnknown })
    },
    { legacy: "reject", maxRequestBodySize }
  )
  const subscriptions = subscriptionsOf(connections)
  const changed = ({ method, params }: Message.Notification): void => {
    const { notify } = handler
    if (method === "notifications/tools/list_changed") notify.toolsChanged()
    else if (method === "notifications/prompts/list_changed") notify.promptsChanged()
    else if (method === "notifications/resources/list_changed") notify.resourcesChanged()
    else if (method === "notifications/resources/updated") notify.resourceUpdated(String(params?.["uri"]))
  }
  return {
    fetch: async (request) =>
      subscriptions.attend(request, async (passed) => {
        const response = await handler.fetch(passed)
        // the SDK knows no status for what a handler has answered
        return unknown.has(passed) && isJson(response) ? new Response(response.body, notFound(response)) : response
      }),
    close: async () => {
      await handler.close()
      await connections.close()
    }
  }
}

/** A response whose status has not been sent yet. */
const isJson = ({ headers }: Response): boolean => headers.get("content-type")?.startsWith("application/json") === true

const notFound = ({ headers }: Response): ResponseInit => ({ status: 404, headers })
