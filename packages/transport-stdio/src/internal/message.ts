/**
 * What a line of a server's stdout holds. The specification allows protocol messages only, one a line; real servers log
 * there as well, and some without an end of line before the next message or after the last one.
 */
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { Message } from "@vmcp-keepalive/sdk-client"
import type { Line } from "./lines.ts"

/** What was read. */
export interface Reading {
  /** in the order in which they stand there */
  readonly found: ReadonlyArray<Found>
  /** whether there is anything that is no protocol message */
  readonly garbage: boolean
}

/** What is of use on a line. */
export type Found =
  | { readonly _tag: "Message"; readonly message: JSONRPCMessage }
  /** the answer to a request, which nobody can be given, and why: the request will get no other */
  | { readonly _tag: "Unreadable"; readonly id: number; readonly because: string }

/** Reads a line. */
export const read = ({ tail, text }: Line): Reading => {
  if (tail !== undefined) return readingOf([unreadable(idOfLong(text, tail), tooLong)], "")
  // What a parser throws costs more than most messages, of which there may be a flood.
  const value = /^\s*\{/.test(text) ? Message.parse(text) : undefined
  return value === undefined ? search(text) : readingOf([ofValue(value)], "")
}

const tooLong = "The answer is longer than maxLineBytes"
const notWellFormed = "The answer is no JSON-RPC"

const readingOf = (objects: ReadonlyArray<Found | undefined>, others: string): Reading => {
  const found = objects.filter((object) => object !== undefined)
  const isClean = objects.length > 0 && objects.every((object) => object?._tag === "Message") && others.trim() === ""
  return { found, garbage: !isClean }
}

/** How many beginnings of objects may lead nowhere on a line: each costs a walk to its end. */
const mostMisses = 8

/** Takes one complete JSON object after the other from a line. What is inside of one is never a message of its own. */
const search = (text: string): Reading => {
  const objects: Array<Found | undefined> = []
  let others = ""
  let taken = 0
  let from = 0
  for (let misses = 0; misses < mostMisses;) {
    const offset = text.slice(from).search(/\{\s*"/)
    if (offset === -1) break
    const start = from + offset
    const end = endOfObject(text, start)
    const value = end === -1 ? undefined : Message.parse(text.slice(start, end))
    if (value === undefined) {
      misses++
      from = start + 1
    } else {
      objects.push(ofValue(value))
      others += text.slice(taken, start)
      taken = from = end
    }
  }
  return readingOf(objects, others + text.slice(taken))
}

/** Where the object that begins there ends, or -1 where it does not. */
const endOfObject = (text: string, start: number): number => {
  let depth = 0
  let isString = false
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (isString && character === "\\") at++
    else if (character === '"') isString = !isString
    else if (isString) continue
    else if (character === "{") depth++
    else if (character === "}" && --depth === 0) return at + 1
  }
  return -1
}

const ofValue = (value: unknown): Found | undefined => {
  // Looked at by itself for the same reason: JSON that is logged has none.
  if (!Message.isObject(value) || !("jsonrpc" in value)) return undefined
  const parsed = JSONRPCMessageSchema.safeParse(value)
  return parsed.success ? { _tag: "Message", message: parsed.data } : unreadable(idOf(value), notWellFormed)
}

const unreadable = (id: number, because: string): Found | undefined =>
  Number.isNaN(id) ? undefined : { _tag: "Unreadable", id, because }

/** The id of what was meant as an answer: it has a result or an error (JSON-RPC 2.0, section 5). */
const idOf = (value: Record<string, unknown>): number => {
  if ("method" in value || !("result" in value || "error" in value)) return Number.NaN
  const { id } = value
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

/** Where a message may begin behind something else. */
const messageStart = /\{\s*"(?:jsonrpc|id|result|error|method|params)"\s*:/

const idFirst =
  /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d+)"?\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const answerFirst = /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const idLast =
  /\}\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d+)"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/
