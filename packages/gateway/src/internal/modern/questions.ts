/**
 * What a server asks of a client of MCP 2026-07-28: whether it can be asked that, and what the server is answered where it cannot.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** Requests whose answer may ask something before it says anything. */
const open: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"])

/** Whether a request of the client's may be answered with questions. */
export const mayAsk = (method: string): boolean => open.has(method)

/** By what is asked, which capability a client has that answers it. */
const needed: ReadonlyMap<string, string> = new Map([
  ["sampling/createMessage", "sampling"],
  ["elicitation/create", "elicitation"],
  ["roots/list", "roots"]
])

/** JSON-RPC 2.0, section 5.1. */
const codes = { invalidRequest: -32600, methodNotFound: -32601 }

/** What the server is answered at once; `undefined` where the client has to be asked. */
export const answerOf = ({ id, method }: Message.Request, capabilities: unknown): Message.Answer | undefined => {
  if (method === "ping") return { jsonrpc: "2.0", id, result: {} }
  const capability = needed.get(method)
  if (capability !== undefined && Message.isObject(capabilities) && Message.isObject(capabilities[capability])) {
    return undefined
  }
  return { jsonrpc: "2.0", id, error: { code: codes.methodNotFound, message: "Method not found" } }
}

/** Where nobody is there to be asked. */
export const unasked = (id: Message.Id): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  error: { code: codes.invalidRequest, message: "The client can be asked only while it waits for an answer" }
})

/** Where the client has come back without an answer. */
export const unanswered = (id: Message.Id): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  error: { code: codes.invalidRequest, message: "The client gave no answer" }
})
