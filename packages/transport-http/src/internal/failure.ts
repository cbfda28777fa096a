/**
 * What went wrong below MCP, in the core's words: errors of `fetch` and statuses.
 */
import type { FailureReason } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import { RedirectRefused } from "./http.ts"

type Reason = (typeof FailureReason.all)[number]

/** What came back is not an answer. The message tells the caller what, without any text of the server. */
export class NotAnAnswer extends Error {
  override readonly name = "NotAnAnswer"
}

/** What an error of `fetch` says. */
export interface FetchFailure {
  readonly reason: Reason
  /** whether nothing of the request can have reached the server */
  readonly unsent: boolean
}

const reasons: ReadonlyMap<string, Reason> = new Map([
  ["ECONNREFUSED", "refused"],
  ["EHOSTUNREACH", "refused"],
  ["ENETUNREACH", "refused"],
  ["EHOSTDOWN", "refused"],
  ["ENETDOWN", "refused"],
  ["EACCES", "refused"],
  ["ECONNRESET", "reset"],
  ["ECONNABORTED", "reset"],
  ["EPIPE", "reset"],
  ["UND_ERR_SOCKET", "reset"],
  ["UND_ERR_CLOSED", "reset"],
  ["UND_ERR_DESTROYED", "reset"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "reset"],
  ["ENOTFOUND", "dns"],
  ["EAI_AGAIN", "dns"],
  ["EAI_FAIL", "dns"],
  ["EAI_NODATA", "dns"],
  ["EAI_NONAME", "dns"],
  ["ETIMEDOUT", "timeout"],
  ["UND_ERR_CONNECT_TIMEOUT", "timeout"],
  ["UND_ERR_HEADERS_TIMEOUT", "timeout"],
  ["UND_ERR_BODY_TIMEOUT", "timeout"],
  ["HPE_INVALID_CONSTANT", "protocol"],
  ["UND_ERR_HEADERS_OVERFLOW", "protocol"]
])

const tls =
  /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO_|UNABLE_TO_|SELF_SIGNED_|EPROTO$|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)/

const ofCode = (code: string): Reason | undefined =>
  reasons.get(code) ?? (tls.test(code) ? "tls" : code.startsWith("HPE_") ? "protocol" : undefined)

/** What failed below `fetch`: undici wraps it in a `TypeError`, Node several in an `AggregateError`. */
export const ofFetch = (error: unknown): FetchFailure => {
  if (error instanceof RedirectRefused || error instanceof NotAnAnswer) return { reason: "protocol", unsent: false }
  return find(error, 0) ?? { reason: "unknown", unsent: false }
}

const maxDepth = 6

const find = (error: unknown, depth: number): FetchFailure | undefined => {
  if (typeof error !== "object" || error === null || depth === maxDepth) return undefined
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  const reason = code === undefined ? undefined : ofCode(code)
  if (reason !== undefined) return { reason, unsent: isUnsent(error, reason, code) }
  for (const inner of causes(error)) {
    const found = find(inner, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

const causes = (error: object): ReadonlyArray<unknown> => [
  ...("cause" in error ? [error.cause] : []),
  ...("reason" in error ? [error.reason] : []),
  ...("errors" in error && Array.isArray(error.errors) ? error.errors : [])
]

const isUnsent = (error: object, reason: Reason, code: string | undefined): boolean =>
  reason === "refused" ||
  reason === "dns" ||
  reason === "tls" ||
  code === "UND_ERR_CONNECT_TIMEOUT" ||
  ("syscall" in error && error.syscall === "connect")

/**
 * `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3), never negative; `undefined` where it is neither.
 */
export const retryAfter = (value: string | null, now: number): Duration.Duration | undefined => {
  if (value === null) return undefined
  const text = value.trim()
  if (/^\d+$/.test(text)) return Duration.seconds(Number(text))
  // A date has letters: `Date.parse` alone would take "-1" and "1.5" for one.
  const date = /^[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Duration.millis(Math.max(0, date - now))
}
