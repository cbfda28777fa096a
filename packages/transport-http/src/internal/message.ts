/**
 * JSON-RPC messages, as far as HTTP must tell them apart.
 */
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js"
import { Message } from "@vmcp-keepalive/sdk-client"

/** What is sent: a request has an id and a method, a notification only a method, an answer only an id. */
export interface Outgoing {
  readonly id?: Message.Id
  readonly method?: string
}

/** What the body of a POST says it is. */
export const outgoing = (body: unknown): Outgoing => {
  const message = typeof body === "string" ? Message.parse(body) : undefined
  if (!Message.isObject(message)) return {}
  const { id, method } = message
  return {
    ...(Message.isId(id) ? { id } : {}),
    ...(typeof method === "string" ? { method } : {})
  }
}

/**
 * What a received message is for the request with the given id:
 * - `answer`: its result or error
 * - `progress`: its progress notification
 * - `invalid`: an answer to it that is not well-formed, or an answer to nobody
 * - `alien`: an answer to another request
 * - `other`: a request or a notification
 */
export type Kind = "answer" | "progress" | "invalid" | "alien" | "other"

/** Says what a received message is for the request with that id. */
export const kindFor = (message: unknown, id: Message.Id): Kind => {
  if (!Message.isObject(message)) return "invalid"
  if (typeof message["method"] === "string") {
    const params = message["params"]
    return message["method"] === "notifications/progress" && Message.isObject(params) && params["progressToken"] === id
      ? "progress"
      : "other"
  }
  if (!("result" in message) && !("error" in message)) return "invalid"
  if (message["id"] === undefined || message["id"] === null) return "invalid"
  // The SDK takes an id as a number: some servers send "7" for 7.
  if (Number(message["id"]) !== Number(id)) return "alien"
  return JSONRPCMessageSchema.safeParse(message).success ? "answer" : "invalid"
}

/** The id of an answer, as the SDK takes it. */
export const idOf = (message: unknown): number => (Message.isObject(message) ? Number(message["id"]) : Number.NaN)
