/**
 * Why a probe, an attempt or a call failed, as one word of a closed set.
 *
 * The words are the `reason` of every error, event and metric: they hold no text from a server, no URL and no secret.
 */
import * as Schema from "effect/Schema"

/**
 * Every reason, in the order of the layers in which it arises.
 *
 * @since 0.1.0
 */
export const all = [
  /** no answer within the bound: a probe's `timeout`, an attempt's `connectTimeout` */
  "timeout",
  /** nobody listens at the address (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH) */
  "refused",
  /** the connection was reset or closed before an answer began */
  "reset",
  /** the name of the host could not be resolved */
  "dns",
  /** the TLS handshake or the certificate failed */
  "tls",
  /** an answer had begun and its stream ended before the answer was complete */
  "stream_cut",
  /** an HTTP status 4xx that is none of the special ones */
  "http_4xx",
  /** an HTTP status 5xx */
  "http_5xx",
  /** 429, or 503 with Retry-After: alive, and asks for time */
  "busy",
  /** the server no longer knows the session */
  "session_lost",
  /** a gateway answered for a server behind it that is dead */
  "upstream",
  /** the credentials were rejected */
  "auth",
  /** the child process could not be started */
  "spawn",
  /** the child process ended */
  "process_exit",
  /** what came back is not MCP */
  "protocol",
  /** the server sent, or left unread, more than a bound allows */
  "overflow",
  /** the backend has as many calls as it may have: none of the server's doing */
  "overloaded",
  /** the `setup` of the backend failed on a new session */
  "setup",
  /** the tool named as probe is not in the server's list */
  "tool_missing",
  /** the session was closed on purpose: an operator's command, idleness, the end of the scope */
  "closed",
  /** none of the above: an error that the transport could not classify */
  "unknown"
] as const

/**
 * One of {@link all}.
 *
 * @since 0.1.0
 */
export type FailureReason = (typeof all)[number]

/**
 * Reasons, as they are checked, decoded and encoded; in JSON, the word.
 *
 * @since 0.1.0
 */
export const FailureReason = Schema.Literals(all)

/**
 * Whether it is one of {@link all}.
 *
 * @since 0.1.0
 */
export const is = Schema.is(FailureReason)

/**
 * Reasons as JSON.
 *
 * @since 0.1.0
 */
export const Json = Schema.toCodecJson(FailureReason)
