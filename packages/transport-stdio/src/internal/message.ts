/**
 * What a line of a server's stdout holds. The specification allows protocol messages only, one a line; real servers log
 * there as well, and some without an end of line before the next message or after the last one.
 */
import type { Buffer } from "node:buffer"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { type Line, shown } from "./lines.ts"

/** What was read. */
export interface Reading {
  /** in the order in which they stand there */
  readonly found: ReadonlyArray<Found>
  /** whether there is anything that is no protocol message */
  readonly garbage: boolean
}

/** What is of use on a line. */
export type Found = { readonly _tag: "Message"; readonly message: Message.Message; readonly bytes: number } | Unreadable

/** The answer to a request, which nobody can be given, and why: the request will get no other. */
export interface Unreadable {
  readonly _tag: "Unreadable"
  readonly id: Message.Id
  readonly because: string
  /** whether it is more than the limits allow */
  readonly overflow: boolean
}

/** Reads a line. */
export const read = ({ bytes, tail }: Line, bounds: Message.Bounds): Reading => {
  if (tail !== undefined) return readingOf([unreadable(idOfLong(bytes, tail), tooLong, true)], true)
  // What a parser throws costs more than most messages, of which there may be a flood.
  if (!beginsWithBrace(bytes)) return search(bytes, bounds)
  const object = ofObject(bytes, bounds)
  return object === notJson ? search(bytes, bounds) : readingOf([object], true)
}

const tooLong = "The answer is longer than limits.messageBytes"
const notWellFormed = "The answer is no JSON-RPC"

/** `alone`: nothing but space is around them */
const readingOf = (objects: ReadonlyArray<Found | undefined>, alone: boolean): Reading => {
  const found = objects.filter((object) => object !== undefined)
  const isClean = alone && objects.length > 0 && objects.every((object) => object?._tag === "Message")
  return { found, garbage: !isClean }
}

// ------------------------------------------------------------------------------------------------------- garbage lines

/** How many beginnings of objects may lead nowhere on a line: each costs a walk to its end. */
const mostMisses = 8

/** How many objects are taken from a line: they are handed on without a pause. */
const mostObjects = 1000

/**
 * How many bytes may be walked over and parsed on a line: on a long one each about once and a half, so that no line keeps this
 * process for long.
 */
const workOn = (line: Buffer): number => 3 * line.length + 512 * 1024

/** Takes one complete JSON object after the other from a line. What is inside of one is never a message of its own. */
const search = (line: Buffer, bounds: Message.Bounds): Reading => {
  const objects: Array<Found | undefined> = []
  let alone = true
  let taken = 0
  let from = 0
  let work = workOn(line)
  for (let misses = 0; misses < mostMisses && objects.length < mostObjects && work > 0;) {
    const start = beginningOfObject(line, from)
    if (start === -1) break
    const end = endOfObject(line, start, Math.min(line.length, start + work))
    const object = end === -1 ? notJson : ofObject(line.subarray(start, end), bounds)
    work -= end === -1 ? line.length - start : 2 * (end - start)
    if (object === notJson) {
      misses++
      from = start + 1
    } else {
      objects.push(object)
      alone &&= isSpace(line.subarray(taken, start))
      taken = from = end
    }
  }
  return readingOf(objects, alone && objects.length > 0 && isSpace(line.subarray(taken)))
}

/** Also what is space outside of ASCII, such as a byte order mark. */
const isSpace = (bytes: Buffer): boolean => {
  const at = skipSpace(bytes, 0)
  const byte = bytes[at]
  return byte === undefined || ((byte > 0x7f || byte < 0x20) && bytes.toString("utf8", at).trim() === "")
}

const quote = 0x22
const backslash = 0x5c
const braceOpen = 0x7b
const braceClosed = 0x7d

/** Where the first byte from there on stands that is no white space of JSON's. */
const skipSpace = (line: Buffer, from: number): number => {
  let at = from
  for (; at < line.length; at++) {
    const byte = line[at]
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) break
  }
  return at
}

const beginsWithBrace = (line: Buffer): boolean => line[skipSpace(line, 0)] === braceOpen

/** Where the next object with at least one field begins, or -1. */
const beginningOfObject = (line: Buffer, from: number): number => {
  for (let at = from; at < line.length; at++) {
    if (line[at] === braceOpen && line[skipSpace(line, at + 1)] === quote) return at
  }
  return -1
}

/** Where the object that begins there ends, or -1 where it does not before `limit`. */
const endOfObject = (line: Buffer, start: number, limit: number): number => {
  let depth = 0
  let isString = false
  for (let at = start; at < limit; at++) {
    const byte = line[at]
    if (isString && byte === backslash) at++
    else if (byte === quote) isString = !isString
    else if (isString) continue
    else if (byte === braceOpen) depth++
    else if (byte === braceClosed && --depth === 0) return at + 1
  }
  return -1
}

// ------------------------------------------------------------------------------------------------------------ messages

/** What is no JSON at all. */
const notJson = Symbol("notJson")

/** What an object is: a message, an answer that cannot be read, or nothing of the protocol. */
const ofObject = (json: Buffer, bounds: Message.Bounds): Found | undefined | typeof notJson => {
  const excess = Message.excess(json, bounds)
  if (excess !== undefined)
    return unreadable(idOfLong(json.subarray(0, shown), json.subarray(-shown)), `The answer has ${excess}`, true)
  const value = Message.parse(json.toString())
  return value === undefined ? notJson : ofValue(value, json.length)
}

const ofValue = (value: unknown, bytes: number): Found | undefined => {
  // Looked at by itself for the same reason: JSON that is logged has none.
  if (!Message.isObject(value) || !("jsonrpc" in value)) return undefined
  const message = Message.of(value)
  return message === undefined ? unreadable(idOf(value), notWellFormed, false) : { _tag: "Message", message, bytes }
}

const unreadable = (id: Message.Id | undefined, because: string, overflow: boolean): Found | undefined =>
  id === undefined ? undefined : { _tag: "Unreadable", id, because, overflow }

/** The id of what was meant as an answer: it has a result or an error (JSON-RPC 2.0, section 5). */
const idOf = (value: Record<string, unknown>): Message.Id | undefined => {
  if ("method" in value || !("result" in value || "error" in value)) return undefined
  const { id } = value
  return Message.isId(id) ? id : undefined
}

/**
 * The id of an answer of which only both ends are there. Servers write it first or last; an `id` further inside may be
 * anybody's, and one behind something else than an answer is a request's of the server.
 */
const idOfLong = (first: Buffer, last: Buffer): Message.Id | undefined => {
  const head = first.toString()
  const message = head.slice(Math.max(0, head.search(messageStart)))
  const found = idFirst.exec(message) ?? (answerFirst.test(message) ? idLast.exec(last.toString()) : null)
  const id = found?.[1] === undefined ? undefined : Message.parse(found[1])
  return Message.isId(id) ? id : undefined
}

/** Where a message may begin behind something else. */
const messageStart = /\{\s*"(?:jsonrpc|id|result|error|method|params)"\s*:/

const idFirst =
  /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+|"(?:[^"\\]|\\.)*")\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const answerFirst = /^\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"/
const idLast =
  /\}\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+|"(?:[^"\\]|\\.)*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/
