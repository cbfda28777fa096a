/**
 * What a message that came is for the request that waits, and how large it may be.
 */
import { Ask, Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import type { Wire } from "../session/wire.ts"

/**
 * What a message is for the request with the given id:
 * - `answer`: its result or error
 * - `progress`: its progress notification
 * - `alien`: an answer to another request
 * - `nobody`: an error that answers none
 * - `other`: a request or a notification
 */
export type Kind = "answer" | "progress" | "alien" | "nobody" | "other"

/** Says what a message is for the request with that id. */
export const kindFor = (message: Message.Message, id: Message.Id): Kind => {
  if (!Message.isAnswer(message)) return Message.progressOf(message) === id ? "progress" : "other"
  if (message.id === undefined) return "nobody"
  // some servers send "7" for 7
  return message.id === id || Number(message.id) === id ? "answer" : "alien"
}

/** How long the answer to a request may be, in bytes: that to a probe is short, that to a list is a list. */
export const mostBytes = ({ limits }: Wire, { own, record }: Requests.Pending): number =>
  own && !Ask.isList(record.method) ? Math.min(limits.probeBytes, limits.messageBytes) : limits.messageBytes

/** What is said of an answer that is longer. */
export const tooLong = (wire: Wire, pending: Requests.Pending): string =>
  `an answer is longer than limits.${mostBytes(wire, pending) < wire.limits.messageBytes ? "probeBytes" : "messageBytes"}`
