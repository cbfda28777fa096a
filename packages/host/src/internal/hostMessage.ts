/**
 * What a message of the host's means: read from the message and from how far the connection of the host has come, and from
 * nothing else.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/**
 * How far the connection of the host has come: nothing was said, `initialize` is under way, it was answered with a result, the
 * connection is over.
 *
 * @since 0.1.0
 */
export type Phase = "new" | "initializing" | "open" | "closed"

/**
 * What is to be done about a message.
 *
 * @since 0.1.0
 */
export type Meaning =
  /** it is answered here, and reaches no server */
  | { readonly _tag: "Answered"; readonly answer: Message.Answer }
  | { readonly _tag: "Initialize"; readonly id: Message.Id; readonly params: Message.Params }
  /** the server is asked; where `idempotent`, it may be asked again when the outcome is unknown */
  | { readonly _tag: "Request"; readonly request: Message.Request; readonly idempotent: boolean }
  /** the host waits no longer for the answer to that request of its own */
  | { readonly _tag: "Cancelled"; readonly id: Message.Id }
  | { readonly _tag: "Initialized" }
  /** the progress of a request of the server's */
  | { readonly _tag: "Progress"; readonly token: Message.Id; readonly notification: Message.Notification }
  | { readonly _tag: "Notification"; readonly notification: Message.Notification }
  /** an answer to a request of the server's */
  | { readonly _tag: "Answer"; readonly answer: Message.Answer }
  | { readonly _tag: "Nothing" }

/** JSON-RPC 2.0, section 5.1. */
const codes = { invalidRequest: -32600, methodNotFound: -32601, invalidParams: -32602 }

/** Requests that change nothing which a second one would change again, beside those that the core knows to be read-only. */
const idempotent: ReadonlySet<string> = new Set([
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  "tasks/get",
  "tasks/list",
  "tasks/result"
])

/**
 * Tells what a value that the host has sent means. `isUnderWay` tells whether a request with that id waits for its answer.
 *
 * @since 0.1.0
 */
export const read = (value: unknown, phase: Phase, isUnderWay: (id: Message.Id) => boolean): Meaning => {
  if (phase === "closed") return nothing
  const message = Message.of(value)
  // MCP has had no batches since 2025-06-18; what cannot be told from an answer must not be answered.
  if (message === undefined) return refused(idOf(value), codes.invalidRequest, "This is no message of JSON-RPC 2.0")
  if (Message.isAnswer(message)) return { _tag: "Answer", answer: message }
  return Message.isRequest(message) ? ofRequest(message, phase, isUnderWay) : ofNotification(message, phase)
}

const ofRequest = (
  request: Message.Request,
  phase: Exclude<Phase, "closed">,
  isUnderWay: (id: Message.Id) => boolean
): Meaning => {
  const { id, method, params } = request
  // an error with that id would be taken for the answer to the request that has it
  if (isUnderWay(id)) return refused(undefined, codes.invalidRequest, "A request with this id is under way")
  if (method === "ping") return { _tag: "Answered", answer: { jsonrpc: "2.0", id, result: {} } }
  if (method === "initialize") {
    if (phase !== "new") return refused(id, codes.invalidRequest, "This connection was initialized before")
    return isHandshake(params)
      ? { _tag: "Initialize", id, params }
      : refused(id, codes.invalidParams, "initialize needs protocolVersion, capabilities and clientInfo")
  }
  if (phase === "open") return { _tag: "Request", request, idempotent: idempotent.has(method) }
  // how a client of MCP 2026-07-28 learns that this is an earlier version, before it initializes
  if (method === "server/discover") return refused(id, codes.methodNotFound, "Method not found")
  return refused(id, codes.invalidRequest, "This connection was not initialized yet")
}

const ofNotification = (notification: Message.Notification, phase: Exclude<Phase, "closed">): Meaning => {
  switch (notification.method) {
    case "notifications/cancelled": {
      const id = Message.cancelled(notification)
      return id === undefined ? nothing : { _tag: "Cancelled", id }
    }
    case "notifications/initialized":
      return phase === "open" ? { _tag: "Initialized" } : nothing
    case "notifications/progress": {
      const token = Message.progressOf(notification)
      return Message.isId(token) ? { _tag: "Progress", token, notification } : nothing
    }
    default:
      return phase === "open" ? { _tag: "Notification", notification } : nothing
  }
}

const nothing: Meaning = { _tag: "Nothing" }

const refused = (id: Message.Id | undefined, code: number, message: string): Meaning => ({
  _tag: "Answered",
  answer:
    id === undefined ? { jsonrpc: "2.0", error: { code, message } } : { jsonrpc: "2.0", id, error: { code, message } }
})

/** The id of a request that is wrong in another way. */
const idOf = (value: unknown): Message.Id | undefined =>
  Message.isObject(value) && typeof value["method"] === "string" && Message.isId(value["id"]) ? value["id"] : undefined

const isHandshake = (params: Message.Params | undefined): params is Message.Params =>
  typeof params?.["protocolVersion"] === "string" &&
  Message.isObject(params["capabilities"]) &&
  Message.isObject(params["clientInfo"])
