/**
 * Which era a server speaks: what its answer to the client's `server/discover` says of that, and what it does not.
 *
 * An error in JSON-RPC is the word of a server, with whatever status it comes; that it is a legacy one is the client's to conclude.
 * A status alone may be a proxy's. Real servers of the legacy era answer so, too (422, 400 as plain text), so that the client goes on
 * with `initialize`; but that such a server is there at all, and refuses `server/discover` still, must have been seen before the
 * session is taken for one of the legacy era. Else a server of both eras would lose the modern one to one bad answer.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Ask, Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type { Wire } from "./wire.ts"

/** Statuses 4xx that are about this moment or this client, and not about what was asked. */
const transient: ReadonlySet<number> = new Set([401, 403, 407, 408, 421, 425, 429])

/** What a refusal of `server/discover` is: the word of a server, a status that decides nothing yet, or a failed attempt. */
export type Refusal =
  | { readonly _tag: "Word"; readonly error: Message.ErrorAnswer["error"] }
  | { readonly _tag: "Undecided" }
  | { readonly _tag: "Failed" }

/** Reads a refusal by its status and its text. */
export const refusal = (status: number, text: string): Refusal => {
  if (status < 400 || status > 499 || transient.has(status)) return { _tag: "Failed" }
  const error = errorIn(text)
  return error === undefined ? { _tag: "Undecided" } : { _tag: "Word", error }
}

/** The error that the body of a refusal is in JSON-RPC, whatever request it names: servers of the legacy era name none. */
const errorIn = (text: string): Message.ErrorAnswer["error"] | undefined => {
  const value = Message.parse(text)
  if (!Message.isObject(value)) return undefined
  const message = Message.of({ jsonrpc: value["jsonrpc"], error: value["error"] })
  return message !== undefined && "error" in message ? message.error : undefined
}

/** The answer to one request that the body of its refusal is in JSON-RPC. */
export const answerIn = (text: string, id: Message.Id): Message.Answer | undefined => {
  const message = Message.of(Message.parse(text))
  return message !== undefined && "error" in message && message.id === id ? message : undefined
}

/** With which a server of the modern era refuses `initialize`: it does not speak that revision, or does not know the method. */
const ofModern: ReadonlySet<number> = new Set([-32022, -32601])

/** What a refusal of `initialize` is that says that the server is of the modern era: its word, in place of the status. */
export const otherEra = (status: number, text: string): Evidence.Evidence | undefined => {
  const word = refusal(status, text)
  return word._tag === "Word" && ofModern.has(word.error.code) ? Evidence.errorAnswer(word.error.code) : undefined
}

/**
 * Why a server that is remembered to be of the legacy era has refused `initialize`. One that is of the modern era now has lost what it was
 * before; it does not refuse because of another session, which may be answered yet by the process before it.
 */
export const ofRemembered = (evidence: Evidence.Evidence): Evidence.Evidence =>
  evidence._tag === "ErrorAnswer" && ofModern.has(evidence.code) ? changed : evidence

/** A server that kept sessions is another one now. */
export const changed = Evidence.transportFailure("session_lost", {
  summary: "the server keeps no sessions any more",
  output: []
})

/** What the client concludes an era of the past from; what it says stands nowhere. */
export const unknownMethod = { code: -32601, message: "Method not found" }

/**
 * Asks a server with which a session of the legacy era was begun, on that session, whether it is one of the modern era. Fails where
 * it is, and where nothing can be said: the next attempt begins anew.
 */
export const confirm = (wire: Wire, doubt: Evidence.Evidence): Effect.Effect<void, Evidence.Evidence> =>
  Effect.flatMap(
    Ask.ask(wire.requests, {
      method: "server/discover",
      params: { _meta: wire.requests.offered ?? Message.envelope() }
    }),
    ({ evidence, result }) => {
      if (result !== undefined) return Array.isArray(result["supportedVersions"]) ? Effect.fail(doubt) : Effect.void
      const isRefused = evidence._tag === "Refused" && refusal(evidence.status, "")._tag !== "Failed"
      return isRefused || evidence._tag === "ErrorAnswer" ? Effect.void : Effect.fail(evidence)
    }
  )
