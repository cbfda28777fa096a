/**
 * JSON-RPC messages, as far as the transport must understand them.
 */
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js"

/** The id of a request. */
export type Id = string | number

/** What is sent: a request has an id and a method, a notification only a method, an answer only an id. */
export interface Outgoing {
  readonly id?: Id
  readonly method?: string
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** The value of JSON text, or `undefined` where it is none. */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What the body of a POST says it is. */
export const outgoing = (body: unknown): Outgoing => {
  const message = typeof body === "string" ? parse(body) : undefined
  if (!isObject(message)) return {}
  const { id, method } = message
  return {
    ...(typeof id === "string" || typeof id === "number" ? { id } : {}),
    ...(typeof method === "string" ? { method } : {})
  }
}

/** The id of the request that a message cancels. */
export const cancelled = (message: unknown): Id | undefined => {
  if (!isObject(message) || message["method"] !== "notifications/cancelled") return undefined
  const params = message["params"]
  const id = isObject(params) ? params["requestId"] : undefined
  return typeof id === "string" || typeof id === "number" ? id : undefined
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
export const kindFor = (message: unknown, id: Id): Kind => {
  if (!isObject(message)) return "invalid"
  if (typeof message["method"] === "string") {
    const params = message["params"]
    return message["method"] === "notifications/progress" && isObject(params) && params["progressToken"] === id
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
export const idOf = (message: unknown): number => (isObject(message) ? Number(message["id"]) : Number.NaN)
