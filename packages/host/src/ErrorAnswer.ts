/**
 * Errors as a host gets them: answers of JSON-RPC, whose `data` says what one needs to act.
 *
 * What the server answered passes untouched. An error of this library's own has one of the {@link codes} and {@link Data}. Its
 * text is for a person or a model to read, and has none of the words on which frameworks open a new connection and make the call
 * again ("fetch failed", "connection closed", "not connected", a status): it may have been executed.
 */
import { type BackendError, type ConnectionState, FailureReason } from "@vmcp-keepalive/core"
import { type Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * The codes of errors of this library's own. They are outside of what JSON-RPC, MCP and its SDKs use (-32000 to -32042, -32600 to
 * -32603, -32700).
 *
 * @since 0.1.0
 */
export const codes = {
  SessionUnavailable: -32080,
  CallRejected: -32081,
  OutcomeUnknown: -32082,
  CallFailed: -32083
} as const satisfies Record<BackendError.CallError["_tag"], number>

/**
 * The `data` of such an error.
 *
 * @since 0.1.0
 */
export type Data = typeof Data.Type
/** @since 0.1.0 */
export const Data = Schema.Struct({
  /** which of the errors of core it is */
  error: Schema.Literals(["SessionUnavailable", "CallRejected", "OutcomeUnknown", "CallFailed"]),
  /** the id of the backend */
  backend: Schema.String,
  /** what was seen last */
  reason: Schema.optional(FailureReason.FailureReason),
  /**
   * - `no`: nothing of it was executed, and it may be made again
   * - `unknown`: it may have been, and no answer will come
   */
  executed: Schema.Literals(["no", "unknown"]),
  /** when it makes sense to try again, in milliseconds from now */
  retryAfter: Schema.optional(Schema.Finite),
  /** the HTTP status, errno or TLS code that was seen */
  code: Schema.optional(Schema.Union([Schema.Number, Schema.String]))
})

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * How a call's error is told to a host: the server's own words where it answered.
 *
 * @since 0.1.0
 */
export const ofCall = (error: BackendError.CallError): Message.ErrorAnswer["error"] => {
  if (error._tag === "CallFailed" && Peer.isRpcError(error.cause)) {
    const { code, data, message } = error.cause
    return data === undefined ? { code, message } : { code, message, data }
  }
  const { backend, reason } = error
  return {
    code: codes[error._tag],
    message: textOf(error),
    data: {
      error: error._tag,
      backend,
      ...(reason === undefined ? {} : { reason }),
      executed: isUnknown(error) ? "unknown" : "no",
      ...(error.retryAfter === undefined ? {} : { retryAfter: Math.ceil(Duration.toMillis(error.retryAfter)) }),
      ...(error._tag === "CallFailed" && error.code !== undefined ? { code: error.code } : {})
    } satisfies Data
  }
}

/**
 * How it is told to a host that its server could not be reached in the time that `initialize` may take, `now` being the time of
 * the wall clock in milliseconds.
 *
 * @since 0.1.0
 */
export const ofState = (
  backend: string,
  state: ConnectionState.ConnectionState,
  now: number
): Message.ErrorAnswer["error"] => {
  const nextAttemptAt = "nextAttemptAt" in state ? state.nextAttemptAt : undefined
  const retryAfter = nextAttemptAt === undefined ? undefined : Math.max(0, nextAttemptAt - now)
  return {
    code: codes.SessionUnavailable,
    message: `The MCP server "${backend}" cannot be reached at the moment.${again(retryAfter)}`,
    data: {
      error: "SessionUnavailable",
      backend,
      ...("reason" in state && state.reason !== undefined ? { reason: state.reason } : {}),
      executed: "no",
      ...(retryAfter === undefined ? {} : { retryAfter })
    } satisfies Data
  }
}

// ------------------------------------------------------------------------------------------------------------- guards

/**
 * What an error of a client says, where it is one of this library's own: the clients of the SDKs throw errors that have the
 * `data` of the answer.
 *
 * @since 0.1.0
 */
export const dataOf = (error: unknown): Data | undefined => {
  const data = typeof error === "object" && error !== null && "data" in error ? error.data : undefined
  return isData(data) ? data : undefined
}

// ----------------------------------------------------------------------------------------------------------- internal

const isData = Schema.is(Data)

/** What the server answered and could not be read was executed, if anything was. */
const isUnknown = (error: BackendError.CallError): boolean =>
  error._tag === "OutcomeUnknown" || (error._tag === "CallFailed" && error.reason === undefined)

const textOf = (error: BackendError.CallError): string => {
  const server = `The MCP server "${error.backend}"`
  const retryAfter = error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
  switch (error._tag) {
    case "SessionUnavailable":
      return `${server} cannot be reached at the moment; the call was not executed.${again(retryAfter)}`
    case "CallRejected":
      return `${server} ${rejectingOf(error)}; the call was not executed.${again(retryAfter)}`
    case "OutcomeUnknown":
      return `${server} went away during the call: whether it was executed is unknown, and it is not made again.`
    case "CallFailed":
      return error.reason === undefined
        ? `${server} gave an answer to the call that cannot be understood.`
        : `${server} refused the call; it was not executed.${again(retryAfter)}`
  }
}

const rejectingOf = ({ reason, state }: BackendError.CallRejected): string => {
  if (reason === "overloaded") return "has as many calls as it may have"
  switch (state) {
    case "Connecting":
      return "is known to be down and is being tried"
    case "NeedsAuth":
      return "does not accept the credentials"
    case "Isolated":
      return "was taken out of service by an operator"
    case "Closed":
      return "is no longer kept"
    default:
      return "is known to be down"
  }
}

const again = (retryAfter: number | undefined): string =>
  retryAfter === undefined
    ? ""
    : ` Try again in ${Duration.format(Duration.seconds(Math.max(1, Math.ceil(retryAfter / 1000))))}.`
