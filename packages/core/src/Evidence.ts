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

/**
 * One thing seen of a server.
 *
 * @since 0.1.0
 */
export type Evidence = Answered | ErrorAnswer | Refused | TransportFailure

/**
 * A JSON-RPC result, `isError: true` included: the tool answered.
 *
 * @since 0.1.0
 */
export interface Answered {
  readonly _tag: "Answered"
}

/**
 * A JSON-RPC error that came over the wire, also as the body of an HTTP status that the protocol gives to it: 404 for -32601 and 400
 * for -32022 in MCP 2026-07-28.
 *
 * @since 0.1.0
 */
export interface ErrorAnswer {
  readonly _tag: "ErrorAnswer"
  readonly code: number
}

/**
 * An HTTP status instead of an answer. What it says of whether the request was executed is in its record's `fate`.
 *
 * @since 0.1.0
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly status: number
  /** whether the refused request rests on what the server may have forgotten: a session id, or an agreed revision (2026-07-28) */
  readonly withSession: boolean
  /** what the server asked for in `Retry-After` */
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * No answer, and the connection, the process or the protocol is to blame.
 *
 * @since 0.1.0
 */
export interface TransportFailure {
  readonly _tag: "TransportFailure"
  readonly reason: FailureReason
  readonly detail?: FailureDetail | undefined
  /** an errno or the code of a TLS error: `ECONNRESET`, `CERT_HAS_EXPIRED`, `UND_ERR_SOCKET` */
  readonly code?: string | undefined
}

/**
 * The server answered a request of ours.
 *
 * @since 0.1.0
 */
export const answered: Evidence = { _tag: "Answered" }

/**
 * The server answered with a JSON-RPC error.
 *
 * @since 0.1.0
 */
export const errorAnswer = (code: number): Evidence => ({ _tag: "ErrorAnswer", code })

/**
 * The server, or a proxy before it, refused the request with a status.
 *
 * @since 0.1.0
 */
export const refused = (options: Omit<Refused, "_tag">): Evidence => ({ _tag: "Refused", ...options })

/**
 * The transport failed.
 *
 * @since 0.1.0
 */
export const transportFailure = (reason: FailureReason, detail?: FailureDetail, code?: string): Evidence => ({
  _tag: "TransportFailure",
  reason,
  ...(detail === undefined ? {} : { detail }),
  ...(code === undefined ? {} : { code })
})

/**
 * Whether an error answer may be a gateway speaking for a dead server: -32603 and the implementation-defined codes.
 *
 * @since 0.1.0
 */
export const isUpstreamCode = (code: number): boolean => code === -32603 || (code <= -32000 && code >= -32019)

/**
 * Whether the code says that the server does not speak the revision on which the session rests (-32022, MCP 2026-07-28).
 *
 * @since 0.1.0
 */
export const isOtherRevision = (code: number): boolean => code === -32022

/**
 * Whether the status says "alive, but not now": 429, and 503 when it names a time (RFC 9110, 10.2.3).
 *
 * @since 0.1.0
 */
export const isBusy = (evidence: Refused): boolean =>
  evidence.status === 429 || (evidence.status === 503 && evidence.retryAfter !== undefined)

/**
 * Whether the status says that the server does not know the session: real servers answer 404 or 400.
 *
 * @since 0.1.0
 */
export const isSessionUnknown = (evidence: Refused): boolean =>
  evidence.withSession && (evidence.status === 404 || evidence.status === 400)

/**
 * Whether the status says that the credentials do not do.
 *
 * @since 0.1.0
 */
export const isAuth = (evidence: Refused): boolean => evidence.status === 401 || evidence.status === 403

/**
 * Whether the status is a redirect that was not followed: what is there is not the server, and says nothing of the session.
 *
 * @since 0.1.0
 */
export const isRedirect = (evidence: Refused): boolean => evidence.status >= 300 && evidence.status < 400

/**
 * The code of what was seen: an HTTP status, the code of a JSON-RPC error, an errno or the code of a TLS error.
 *
 * @since 0.1.0
 */
export const codeOf = (evidence: Evidence): number | string | undefined => {
  switch (evidence._tag) {
    case "Answered":
      return undefined
    case "ErrorAnswer":
    case "TransportFailure":
      return evidence.code
    case "Refused":
      return evidence.status
  }
}

/**
 * What was seen, as a phrase without any text of the server's: `HTTP 503`, `ECONNRESET on read`, `JSON-RPC error -32000`.
 *
 * @since 0.1.0
 */
export const summaryOf = (evidence: Evidence): string | undefined => {
  switch (evidence._tag) {
    case "Answered":
      return undefined
    case "ErrorAnswer":
      return `JSON-RPC error ${evidence.code}`
    case "Refused":
      return `HTTP ${evidence.status}`
    case "TransportFailure":
      return evidence.detail?.summary ?? evidence.code
  }
}

/**
 * What was seen, for errors: the summary, and the lines that a transport kept of the server.
 *
 * @since 0.1.0
 */
export const detailOf = (evidence: Evidence): FailureDetail | undefined => {
  const summary = summaryOf(evidence)
  const output = evidence._tag === "TransportFailure" ? (evidence.detail?.output ?? []) : []
  return summary === undefined && output.length === 0 ? undefined : { summary, output }
}

/**
 * What a piece of evidence says when it answers a probe or an attempt. `detail`: what was seen, where it says more.
 *
 * @since 0.1.0
 */
export type Verdict =
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Failed"; readonly reason: FailureReason; readonly detail: FailureDetail | undefined }
  | {
      readonly _tag: "Busy"
      readonly retryAfter: Duration.Duration | undefined
      readonly detail: FailureDetail | undefined
    }
  | { readonly _tag: "AuthRejected"; readonly detail: FailureDetail | undefined }

const succeeded: Verdict = { _tag: "Succeeded" }
const failed = (reason: FailureReason, evidence: Evidence): Verdict => ({
  _tag: "Failed",
  reason,
  detail: detailOf(evidence)
})

const ofRefusal = (evidence: Refused): Verdict => {
  const detail = detailOf(evidence)
  if (isAuth(evidence)) return { _tag: "AuthRejected", detail }
  if (isBusy(evidence)) return { _tag: "Busy", retryAfter: evidence.retryAfter, detail }
  return { _tag: "Failed", reason: ofStatus(evidence), detail }
}

const ofStatus = (evidence: Refused): FailureReason =>
  isRedirect(evidence) ? "protocol" : evidence.status >= 500 ? "http_5xx" : "http_4xx"

/**
 * What the answer to a probe means.
 *
 * Any JSON-RPC answer is life, -32601 included. Only the deep probe takes an upstream code for death: it is the one
 * that a gateway must pass on. Only an HTTP-level probe (`options`) takes a 4xx, or a redirect that was not followed, for life.
 * Every server of the modern era knows `server/discover` (`discover`): who answers that it does not (-32601), or not in this
 * revision (-32022), is of another era now.
 *
 * @since 0.1.0
 */
export const ofProbe = (
  evidence: Evidence,
  probe: { readonly deep: boolean; readonly httpOnly: boolean; readonly discover?: boolean | undefined }
): Verdict => {
  switch (evidence._tag) {
    case "Answered":
      return succeeded
    case "ErrorAnswer":
      if (probe.discover === true && isOtherEra(evidence.code)) return failed("session_lost", evidence)
      return probe.deep && isUpstreamCode(evidence.code) ? failed("upstream", evidence) : succeeded
    case "Refused":
      if (isAuth(evidence) || isBusy(evidence)) return ofRefusal(evidence)
      if (probe.httpOnly && evidence.status < 500) return succeeded
      return isSessionUnknown(evidence) ? failed("session_lost", evidence) : ofRefusal(evidence)
    case "TransportFailure":
      return failed(evidence.reason, evidence)
  }
}

const isOtherEra = (code: number): boolean => code === -32601 || isOtherRevision(code)

/**
 * What the end of an attempt means: a refusal of `initialize`, an error answer, or an answer that is not MCP is a failed
 * attempt. Bridges report an upstream that is down as an error answer.
 *
 * @since 0.1.0
 */
export const ofAttempt = (evidence: Evidence): Verdict => {
  switch (evidence._tag) {
    case "Answered":
      return succeeded
    case "ErrorAnswer":
      return failed(reasonOf(evidence), evidence)
    case "Refused":
      return ofRefusal(evidence)
    case "TransportFailure":
      return failed(evidence.reason, evidence)
  }
}

/**
 * What makes an open session questionable, so that one probe decides.
 *
 * @since 0.1.0
 */
export type Doubt =
  /** the server may have forgotten the session, or may be of another era now */
  | "session"
  /** a gateway may be answering for a dead server: the deep probe decides */
  | "upstream"
  /** the credentials may be rejected */
  | "auth"
  /** a call met a failure of the transport, or an answer that is none of the agreed revision */
  | "transport"
  /** a stream that is kept open could not be opened again, or misses the comments that came on it before */
  | "stream"
  /** nothing was heard for `staleAfter`, and a call wants to run */
  | "stale"

/**
 * What the end of a call casts doubt on, if on anything: a call's own failure is life.
 *
 * @since 0.1.0
 */
export const ofCall = (evidence: Evidence): Doubt | undefined => {
  switch (evidence._tag) {
    case "Answered":
      return undefined
    case "ErrorAnswer":
      if (isOtherRevision(evidence.code)) return "session"
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

/**
 * What is in doubt when something was seen of a stream that a session keeps open. Its loss alone is no death: one probe decides.
 *
 * But where the stream was open before, and is not offered any more (405), the session is `lost` without a question: behind the URL
 * is a server now that ignores session ids. It would answer every probe, and every call, with all state of the session gone. A server
 * that does not know the method of a stream that was open before (-32601) may be of another era now.
 *
 * @since 0.1.0
 */
export const ofStream = (evidence: Evidence): Doubt | "lost" | undefined => {
  if (evidence._tag === "ErrorAnswer" && isOtherEra(evidence.code)) return "session"
  if (evidence._tag === "Refused" && evidence.withSession && evidence.status === 405) return "lost"
  const doubt = ofCall(evidence)
  return doubt === "transport" ? "stream" : doubt
}

/**
 * The evidence as one reason, for errors and events.
 *
 * @since 0.1.0
 */
export const reasonOf = (evidence: Evidence): FailureReason => {
  switch (evidence._tag) {
    case "Answered":
      return "unknown"
    case "ErrorAnswer":
      return isUpstreamCode(evidence.code) ? "upstream" : "protocol"
    case "Refused":
      if (isSessionUnknown(evidence)) return "session_lost"
      return isAuth(evidence) ? "auth" : isBusy(evidence) ? "busy" : ofStatus(evidence)
    case "TransportFailure":
      return evidence.reason
  }
}

/**
 * What was seen that led to the verdict.
 *
 * @since 0.1.0
 */
export const detailOfVerdict = (verdict: Verdict): FailureDetail | undefined =>
  verdict._tag === "Succeeded" ? undefined : verdict.detail

/**
 * The verdict as one reason, for events.
 *
 * @since 0.1.0
 */
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
