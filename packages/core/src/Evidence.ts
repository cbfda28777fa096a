/**
 * What a transport saw of a server, in words that no transport owns.
 *
 * A transport reports; it never judges. Whether an error came over the wire (`ErrorAnswer`) or was made on this side
 * (`TransportFailure`) is known where it arose and is never guessed from a code: real bridges send the very codes that
 * the MCP SDK uses for its own timeout and close. What the evidence means is decided by {@link ofProbe},
 * {@link ofAttempt} and {@link ofCall}, the table "what counts as life, and as what" in code.
 */
import type * as Duration from "effect/Duration"
import type { FailureDetail } from "./FailureDetail.ts"
import type { FailureReason } from "./FailureReason.ts"
import type { Doubt } from "./Signal.ts"

/** One thing seen of a server. */
export type Evidence = Answered | ErrorAnswer | Refused | TransportFailure

/** A JSON-RPC result, `isError: true` included: the tool answered. */
export interface Answered {
  readonly _tag: "Answered"
}

/** A JSON-RPC error that came over the wire. */
export interface ErrorAnswer {
  readonly _tag: "ErrorAnswer"
  readonly code: number
}

/** An HTTP status instead of an answer. Below 500 the request was not dispatched to the MCP server. */
export interface Refused {
  readonly _tag: "Refused"
  readonly status: number
  /** whether the refused request carried a session id */
  readonly withSession: boolean
  /** what the server asked for in `Retry-After` */
  readonly retryAfter?: Duration.Duration
}

/** No answer, and the connection, the process or the protocol is to blame. */
export interface TransportFailure {
  readonly _tag: "TransportFailure"
  readonly reason: FailureReason
  readonly detail?: FailureDetail
}

/** The server answered a request of ours. */
export const answered: Evidence = { _tag: "Answered" }

/** The server answered with a JSON-RPC error. */
export const errorAnswer = (code: number): Evidence => ({ _tag: "ErrorAnswer", code })

/** The server, or a proxy before it, refused the request with a status. */
export const refused = (options: Omit<Refused, "_tag">): Evidence => ({ _tag: "Refused", ...options })

/** The transport failed. */
export const transportFailure = (reason: FailureReason, detail?: FailureDetail): Evidence => ({
  _tag: "TransportFailure",
  reason,
  ...(detail === undefined ? {} : { detail })
})

/** Whether an error answer may be a gateway speaking for a dead server: -32603 and the implementation-defined codes. */
export const isUpstreamCode = (code: number): boolean => code === -32603 || (code <= -32000 && code >= -32019)

/** Whether the status says "alive, but not now": 429, and 503 when it names a time (RFC 9110, 10.2.3). */
export const isBusy = (evidence: Refused): boolean =>
  evidence.status === 429 || (evidence.status === 503 && evidence.retryAfter !== undefined)

/** Whether the status says that the server does not know the session: real servers answer 404 or 400. */
export const isSessionUnknown = (evidence: Refused): boolean =>
  evidence.withSession && (evidence.status === 404 || evidence.status === 400)

/** Whether the status says that the credentials do not do. */
export const isAuth = (evidence: Refused): boolean => evidence.status === 401 || evidence.status === 403

/** What a piece of evidence says when it answers a probe or an attempt. */
export type Verdict =
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Failed"; readonly reason: FailureReason; readonly detail?: FailureDetail }
  | { readonly _tag: "Busy"; readonly retryAfter: Duration.Duration | undefined }
  | { readonly _tag: "AuthRejected" }

const succeeded: Verdict = { _tag: "Succeeded" }
const failed = (reason: FailureReason): Verdict => ({ _tag: "Failed", reason })

const ofRefusal = (evidence: Refused): Verdict => {
  if (isAuth(evidence)) return { _tag: "AuthRejected" }
  if (isBusy(evidence)) return { _tag: "Busy", retryAfter: evidence.retryAfter }
  return failed(evidence.status >= 500 ? "http_5xx" : "http_4xx")
}

/**
 * What the answer to a probe means.
 *
 * Any JSON-RPC answer is life, -32601 included. Only the deep probe takes an upstream code for death: it is the one
 * that a gateway must pass on. Only an HTTP-level probe (`options`) takes a 4xx for life.
 */
export const ofProbe = (evidence: Evidence, probe: { readonly deep: boolean; readonly httpOnly: boolean }): Verdict => {
  switch (evidence._tag) {
    case "Answered":
      return succeeded
    case "ErrorAnswer":
      return probe.deep && isUpstreamCode(evidence.code) ? failed("upstream") : succeeded
    case "Refused":
      if (isAuth(evidence) || isBusy(evidence)) return ofRefusal(evidence)
      if (probe.httpOnly) return evidence.status < 500 ? succeeded : failed("http_5xx")
      return isSessionUnknown(evidence) ? failed("session_lost") : ofRefusal(evidence)
    case "TransportFailure":
      return failed(evidence.reason)
  }
}

/**
 * What the end of an attempt means: a refusal of `initialize`, an error answer, or an answer that is not MCP is a failed
 * attempt. Bridges report an upstream that is down as an error answer.
 */
export const ofAttempt = (evidence: Evidence): Verdict => {
  switch (evidence._tag) {
    case "Answered":
      return succeeded
    case "ErrorAnswer":
      return failed(reasonOf(evidence))
    case "Refused":
      return ofRefusal(evidence)
    case "TransportFailure": {
      const { detail, reason } = evidence
      return detail === undefined ? failed(reason) : { _tag: "Failed", reason, detail }
    }
  }
}

/** What the end of a call casts doubt on, if on anything: a call's own failure is life. */
export const ofCall = (evidence: Evidence): Doubt | undefined => {
  switch (evidence._tag) {
    case "Answered":
      return undefined
    case "ErrorAnswer":
      return isUpstreamCode(evidence.code) ? "upstream" : undefined
    case "Refused":
      if (isBusy(evidence)) return undefined
      if (isAuth(evidence)) return "auth"
      if (isSessionUnknown(evidence)) return "session"
      return evidence.status >= 500 ? "transport" : undefined
    case "TransportFailure":
      return "transport"
  }
}

/** What is in doubt when something was seen outside calls and probes. Its loss alone is no death: one probe decides. */
export const ofStream = (evidence: Evidence): Doubt | undefined => {
  const doubt = ofCall(evidence)
  return doubt === "transport" ? "stream" : doubt
}

/** The evidence as one reason, for errors and events. */
export const reasonOf = (evidence: Evidence): FailureReason => {
  switch (evidence._tag) {
    case "Answered":
      return "unknown"
    case "ErrorAnswer":
      return isUpstreamCode(evidence.code) ? "upstream" : "protocol"
    case "Refused": {
      if (isSessionUnknown(evidence)) return "session_lost"
      const verdict = ofRefusal(evidence)
      return verdict._tag === "Failed" ? verdict.reason : verdict._tag === "Busy" ? "busy" : "auth"
    }
    case "TransportFailure":
      return evidence.reason
  }
}

/** The verdict as one reason, for events. */
export const reasonOfVerdict = (verdict: Verdict): FailureReason => {
  switch (verdict._tag) {
    case "Succeeded":
      return "unknown"
    case "Failed":
      return verdict.reason
    case "Busy":
      return "busy"
    case "AuthRejected":
      return "auth"
  }
}
