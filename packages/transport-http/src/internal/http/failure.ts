/**
 * What went wrong below MCP, in the core's words: whether anything was sent, why it failed, and how callers hear of it.
 */
import { Evidence, type FailureReason } from "@vmcp-keepalive/core"
import type * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import type { Progress } from "./sender.ts"

type Reason = (typeof FailureReason.all)[number]

/** What an error of a socket, of TLS, of undici or of `fetch` says. */
export interface Failure {
  readonly reason: Reason
  /** whether it is proven that nothing of the request can have reached the server */
  readonly unsent: boolean
  /** errno, TLS or undici's code */
  readonly code: string | undefined
  /** the step that failed, as Node names it: `connect`, `read`, `write`, `getaddrinfo` */
  readonly syscall: string | undefined
}

// ------------------------------------------------------------------------------------------------------------ unsent

/** Steps of making a connection, before which no byte of a request can leave. */
const connecting: ReadonlySet<string> = new Set(["connect", "getaddrinfo", "queryA", "queryAaaa", "socket", "bind"])

/** What Node's TLS says of a certificate. */
const certificate: ReadonlySet<string> = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "CRL_HAS_EXPIRED",
  "CRL_NOT_YET_VALID",
  "CRL_SIGNATURE_FAILURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_CRL",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])
const connectTimeout = "UND_ERR_CONNECT_TIMEOUT"

/**
 * Whether it is proven that no byte of a request left: the one rule on which "at most once" stands. Where the sender knows, what
 * it knows decides, whatever the code. Where it does not (a `fetch`), the failing step must be one of making the connection: the
 * same code from `read` or `write` may come after the request was executed, and those of TLS name no step.
 */
export const isUnsent = (progress: Progress, { code, syscall }: Pick<Failure, "code" | "syscall">): boolean => {
  if (progress !== "unknown") return progress === "unsent"
  if (syscall !== undefined) return connecting.has(syscall)
  return code === connectTimeout || code === badPort
}

// ------------------------------------------------------------------------------------------------------------ reason

const reasons: ReadonlyMap<string, Reason> = new Map([
  ["ECONNREFUSED", "refused"],
  ["EHOSTUNREACH", "refused"],
  ["ENETUNREACH", "refused"],
  ["EHOSTDOWN", "refused"],
  ["ENETDOWN", "refused"],
  ["EACCES", "refused"],
  ["EADDRNOTAVAIL", "refused"],
  ["ECONNRESET", "reset"],
  ["ECONNABORTED", "reset"],
  ["EPIPE", "reset"],
  ["UND_ERR_SOCKET", "reset"],
  ["UND_ERR_CLOSED", "reset"],
  ["UND_ERR_DESTROYED", "reset"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "reset"],
  ["ERR_WITHHELD", "closed"],
  ["ENOTFOUND", "dns"],
  ["EAI_AGAIN", "dns"],
  ["EAI_FAIL", "dns"],
  ["EAI_NODATA", "dns"],
  ["EAI_NONAME", "dns"],
  ["ETIMEDOUT", "timeout"],
  [connectTimeout, "timeout"],
  ["UND_ERR_HEADERS_TIMEOUT", "timeout"],
  ["UND_ERR_BODY_TIMEOUT", "timeout"],
  ["UND_ERR_HEADERS_OVERFLOW", "overflow"],
  ["UND_ERR_RES_EXCEEDED_MAX_SIZE", "overflow"]
])

const tls = /^(ERR_TLS|ERR_SSL|EPROTO$)/

const reasonOf = (code: string): Reason | undefined => {
  const reason = reasons.get(code)
  if (reason !== undefined) return reason
  if (certificate.has(code) || tls.test(code)) return "tls"
  return code.startsWith("HPE_") ? "protocol" : undefined
}

/** What `fetch` says of a port that it does not connect to, such as 1: nobody is asked. */
const badPort = "bad port"

/** What failed: `fetch` wraps it in a `TypeError`, Effect in its own errors, Node several addresses in an `AggregateError`. */
export const of = (error: unknown, progress: Progress): Failure => {
  const leaves = leavesOf(error, 0)
  const first = leaves.find(({ reason }) => reason !== undefined) ?? leaves[0]
  return {
    reason: first?.reason ?? "unknown",
    // of several addresses that were tried, each must have failed before a byte left
    unsent:
      progress === "unknown"
        ? leaves.length > 0 && leaves.every((leaf) => isUnsent(progress, leaf))
        : isUnsent(progress, { code: undefined, syscall: undefined }),
    code: first?.code,
    syscall: first?.syscall
  }
}

interface Leaf {
  readonly reason: Reason | undefined
  readonly code: string | undefined
  readonly syscall: string | undefined
}

const deepest = 6

/** The errors that say something, from the outside to the inside; one that wraps others speaks only where they do not. */
const leavesOf = (error: unknown, depth: number): ReadonlyArray<Leaf> => {
  if (typeof error !== "object" || error === null || depth === deepest) return []
  const inner = causesOf(error).flatMap((cause) => leavesOf(cause, depth + 1))
  if (inner.length > 0) return inner
  if ("name" in error && error.name === "HTTPParserError")
    return [{ reason: "protocol", code: codeIn(error), syscall: undefined }]
  if ("message" in error && error.message === badPort) return [{ reason: "refused", code: badPort, syscall: undefined }]
  const code = codeIn(error)
  if (code === undefined) return []
  const syscall = "syscall" in error && typeof error.syscall === "string" ? error.syscall : undefined
  return [{ reason: reasonOf(code), code, syscall }]
}

const codeIn = (error: object): string | undefined =>
  "code" in error && typeof error.code === "string" && /^[A-Z][A-Z0-9_]{2,63}$/.test(error.code)
    ? error.code
    : undefined

const causesOf = (error: object): ReadonlyArray<unknown> => [
  ...("cause" in error ? [error.cause] : []),
  ...("reason" in error ? [error.reason] : []),
  ...("errors" in error && Array.isArray(error.errors) ? error.errors.slice(0, 16) : [])
]

/** The failure as evidence; `reason` where more is known than the error tells. */
export const evidenceOf = (failure: Failure, reason: Reason = failure.reason): Evidence.Evidence => {
  const { code, syscall } = failure
  if (code === undefined) return Evidence.transportFailure(reason)
  return Evidence.transportFailure(reason, { summary: summaryOf(code, syscall), output: [] }, code)
}

const summaryOf = (code: string, syscall: string | undefined): string =>
  syscall === undefined ? code : `${code} on ${syscall}`

/** Something came, or was asked for, that exceeds a bound. */
export const overflow = (what: string): Evidence.Evidence =>
  Evidence.transportFailure("overflow", { summary: what, output: [] })

// ------------------------------------------------------------------------------------------------------------ errors

/** Why a request got no answer, as its caller hears it. The message has no text of the server. */
export class RequestFailed extends Error {
  override readonly name = "RequestFailed"
  /** the HTTP status, an errno, a TLS code; `undefined` where there is none */
  readonly code: number | string | undefined
  /** what the server wrote instead of an answer, of which it keeps the first 64 KiB; empty where it wrote nothing */
  readonly body: string

  constructor(message: string, code?: number | string, body = "") {
    // Where it arises tells nothing, and with thousands of calls under way costs more than all the rest.
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = limit
    this.code = code
    this.body = body
  }
}

/** The error for what was seen; `body` is what the server wrote instead of an answer. */
export const errorOf = (evidence: Evidence.Evidence, body?: string): RequestFailed => {
  switch (evidence._tag) {
    case "Refused":
      return new RequestFailed(`The server answered with status ${evidence.status}`, evidence.status, body)
    case "TransportFailure": {
      const { code, detail, reason } = evidence
      return new RequestFailed(`${sentences[reason] ?? "The request failed"}${said(detail?.summary)}`, code)
    }
    default:
      return new RequestFailed("The request failed")
  }
}

const said = (summary: string | undefined): string => (summary === undefined ? "" : ` (${summary})`)

const sentences: Readonly<Partial<Record<Reason, string>>> = {
  stream_cut: "The connection ended before the answer, which cannot be recovered",
  protocol: "What the server sent does not answer the request",
  overflow: "The server sent more than a bound allows",
  closed: "The session has ended",
  refused: "No connection could be made",
  dns: "The name of the host could not be resolved",
  tls: "TLS failed",
  reset: "The connection ended before an answer"
}

/**
 * `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3), never negative; `undefined` where it is neither.
 */
export const retryAfter = (value: string | undefined, now: number): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  return Result.match(Headers.parseRetryAfter(value), {
    onFailure: () => undefined,
    onSuccess: (asked) => Headers.retryAfterDelay(asked, now)
  })
}
