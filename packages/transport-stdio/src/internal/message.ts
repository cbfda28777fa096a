/**
 * What a line of a server's stdout is. The specification allows protocol messages only, one a line; real servers log
 * there as well, and some without an end of line before the next message.
 */
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { Message } from "@vmcp-keepalive/sdk-client"
import type { Line } from "./lines.ts"

/** What was read. */
export type Reading =
  /** a protocol message, after garbage on the same line or not */
  | { readonly _tag: "Message"; readonly message: JSONRPCMessage; readonly garbage: boolean }
  /** the answer to a request, too long or not well-formed: the request has no answer, and will get none */
  | { readonly _tag: "Unreadable"; readonly id: number }
  /** no protocol message */
  | { readonly _tag: "Garbage" }

const garbage: Reading = { _tag: "Garbage" }

/** Reads a line. */
export const read = ({ tail, text }: Line): Reading => {
  if (tail !== undefined) return unreadable(idOfLong(text, tail))
  // What a parser throws costs more than most messages, of which there may be a flood.
  const value = objectStart.test(text) ? Message.parse(text) : undefined
  if (value !== undefined) return ofValue(value, false)
  const start = text.search(messageStart)
  const salvaged = start > 0 ? Message.parse(text.slice(start)) : undefined
  return salvaged === undefined ? garbage : ofValue(salvaged, true)
}

const objectStart = /^\s*\{/

/** Where a message may begin behind something else. */
const messageStart = /\{\s*"(?:jsonrpc|id|result|error|method|params)"\s*:/

const ofValue = (value: unknown, behindGarbage: boolean): Reading => {
  // Looked at by itself for the same reason: JSON that is logged has none.
  if (!Message.isObject(value) || value["jsonrpc"] !== "2.0") return unreadable(idOf(value))
  const parsed = JSONRPCMessageSchema.safeParse(value)
  return parsed.success ? { _tag: "Message", message: parsed.data, garbage: behindGarbage } : unreadable(idOf(value))
}

const unreadable = (id: number): Reading => (Number.isNaN(id) ? garbage : { _tag: "Unreadable", id })

/** The id of what looks like an answer. */
const idOf = (value: unknown): number => {
  if (!Message.isObject(value) || "method" in value) return Number.NaN
  const id = value["id"]
  if (typeof id === "string" && /^\d+$/.test(id)) return Number(id)
  return typeof id === "number" ? id : Number.NaN
}

/**
 * The id of an answer of which only both ends are there. Servers write it first or last; an `id` further inside may be
 * anybody's, and one behind something else than an answer is a request's of the server.
 */
const idOfLong = (head: string, tail: string): number => {
  const message = head.slice(Math.max(0, head.search(messageStart)))
  const found = idFirst.exec(message) ?? (answerFirst.test(message) ? idLast.exec(tail) : null)
  return found?.[1] === undefined ? Number.NaN : Number(found[1])
}

const idFirst =
  /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d+)"?\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const answerFirst = /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const idLast =
  /\}\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d+)"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/
