/**
 * Of which era the connection of a host over stdio is: told by what it says. A client of the modern era may ask first and then fall back.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { PROTOCOL_VERSION_META_KEY } from "@modelcontextprotocol/server"

/** `undefined` before it is known: what comes until then is answered as in the legacy era. */
export type Era = "legacy" | "modern" | undefined

/** Of which era the connection is from this message on. */
export const eraOf = (before: Era, message: unknown): Era => {
  if (before === "legacy") return before
  if (isModern(message)) return "modern"
  return Message.isObject(message) && message["method"] === "initialize" ? "legacy" : before
}

/** Whether a message names the version of that era. */
const isModern = (message: unknown): boolean => {
  const params = Message.isObject(message) ? message["params"] : undefined
  const meta = Message.isObject(params) ? params["_meta"] : undefined
  return Message.isObject(meta) && PROTOCOL_VERSION_META_KEY in meta
}
