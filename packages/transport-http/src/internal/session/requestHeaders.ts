/**
 * The headers that a request has for itself. In the modern era (MCP 2026-07-28, Streamable HTTP, standard request headers) they say
 * what is in the body, for proxies that do not read it.
 */
import { Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import { reservedHeaders } from "./wire.ts"

/** Which parameter names what a request is about. */
const named: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["tasks/get", "taskId"],
  ["tasks/update", "taskId"],
  ["tasks/cancel", "taskId"]
])

/** Adds them, names in lower case. `options`: what the client wants to be sent with this request, none of which may be the protocol's own. */
export const add = (
  headers: Record<string, string>,
  message: Message.Request,
  options: Requests.SendOptions | undefined
): void => {
  if (options?.headers !== undefined) {
    for (const [name, value] of Object.entries(options.headers)) {
      const lower = name.toLowerCase()
      if (!reservedHeaders.has(lower) && lower !== "authorization" && lower !== "dpop") headers[lower] = value
    }
  }
  const revision = Message.revisionOf(message)
  if (revision === undefined) return
  headers["mcp-protocol-version"] = revision
  headers["mcp-method"] = message.method
  const parameter = named.get(message.method)
  const name = parameter === undefined ? undefined : message.params?.[parameter]
  if (typeof name === "string") headers["mcp-name"] = Message.headerValue(name)
}
