/**
 * Every error that a user of a backend can meet: a closed set, each with what one needs to act.
 *
 * Messages and fields hold no header, token, session id, URL query or tool argument. What others wrote is in two fields
 * only, for the caller alone, and in no message, event, log, metric or JSON: `CallFailed.cause`, which is what the client
 * itself threw, and `detail.output`, the last lines of a server that died.
 */
import * as Duration from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as ConnectionState from "./ConnectionState.ts"
import { FailureDetail } from "./FailureDetail.ts"
import { FailureReason } from "./FailureReason.ts"
import { Span } from "./internal/schemas.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * One wrong setting: where it is, and what is expected there, bounds included.
 *
 * @since 0.1.0
 */
export interface ConfigurationIssue {
  readonly path: ReadonlyArray<string>
  readonly expected: string
}

/**
 * Issues, as they are checked, decoded and encoded.
 *
 * @since 0.1.0
 */
export const ConfigurationIssue = Schema.Struct({ path: Schema.Array(Schema.String), expected: Schema.String })

/**
 * Stands for a `cause` that was read from JSON: what it said has stayed in the process in which it was thrown.
 *
 * @since 0.1.0
 */
export class ThrownElsewhere extends Error {
  /** the name of the class of what was thrown; `"unknown"` for what is no error */
  override readonly name: string
  constructor(name: string) {
    super("what was thrown is known only where it was thrown")
    this.name = name
  }
}

/** What a client throws may hold anything, but the name of its class is the program's own. */
const nameOf = (thrown: unknown): string => {
  if (thrown instanceof ThrownElsewhere) return thrown.name
  const name = thrown instanceof Error ? thrown.constructor.name : ""
  return /^[A-Za-z_$][\w$]{0,63}$/.test(name) ? name : "unknown"
}

const Thrown = Schema.Unknown.pipe(
  Schema.encodeTo(Schema.Struct({ name: Schema.String }), {
    decode: SchemaGetter.transform(({ name }) => new ThrownElsewhere(name)),
    encode: SchemaGetter.transform((thrown) => ({ name: nameOf(thrown) }))
  })
)

const StateTag = Schema.Literals(ConnectionState.ConnectionState.discriminants)

// ------------------------------------------------------------------------------------------------------------- errors

/**
 * Settings are wrong. Lists every wrong field at once; nothing was started. No value is repeated: it may be a secret.
 *
 * @since 0.1.0
 */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  /** empty where the settings are those of no backend alone, and where a backend's id is what is wrong */
  backend: Schema.String,
  issues: Schema.Array(ConfigurationIssue)
}) {
  override get message(): string {
    const lines = this.issues.map((issue) => `  ${issue.path.join(".")}: expected ${issue.expected}`)
    const of = this.backend === "" ? "" : ` of backend "${this.backend}"`
    return [`The configuration${of} is wrong:`, ...lines].join("\n")
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
}

/**
 * No session became available within `waitForSession`, or none will: the next attempt is due later than that.
 * The call was not executed. Try again after `retryAfter`, where it is known.
 *
 * @since 0.1.0
 */
export class SessionUnavailable extends Schema.TaggedError<SessionUnavailable>()("SessionUnavailable", {
  backend: Schema.String,
  state: StateTag,
  reason: Schema.UndefinedOr(FailureReason),
  detail: Schema.UndefinedOr(FailureDetail),
  retryAfter: Schema.UndefinedOr(Span)
}) {
  override get message(): string {
    return `Backend "${this.backend}" has no session (${describe(this)})`
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
  /** on a console, everything */
  override [NodeInspectSymbol](): unknown {
    return { ...this }
  }
}

/**
 * The call was rejected at once without being executed. The backend is known to be bad: the circuit is open or half-open,
 * credentials are needed, or an operator isolated it, or its scope has ended. Or, with reason `overloaded` and in any state, it has
 * as many calls as `maxConcurrent` and `queue` of the policy, or a `CallLimit`, allow; `retryAfter` then tells when those that wait
 * now will have had their turn.
 *
 * @since 0.1.0
 */
export class CallRejected extends Schema.TaggedError<CallRejected>()("CallRejected", {
  backend: Schema.String,
  state: StateTag,
  reason: Schema.UndefinedOr(FailureReason),
  detail: Schema.UndefinedOr(FailureDetail),
  retryAfter: Schema.UndefinedOr(Span)
}) {
  override get message(): string {
    return `Backend "${this.backend}" rejects ${this.reason === "overloaded" ? "further calls" : "calls"} (${describe(this)})`
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
  /** on a console, everything */
  override [NodeInspectSymbol](): unknown {
    return { ...this }
  }
}

/**
 * A request of the call may have been executed, and no answer will come: the session died under it, or its answer was
 * cut, or a refusal came so late that the server may have acted first. It is not sent again unless the call was marked as
 * replayable. `retryAfter` is what the server asked for with 503, if it did.
 *
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  backend: Schema.String,
  generation: Schema.Int,
  reason: FailureReason,
  detail: Schema.UndefinedOr(FailureDetail),
  retryAfter: Schema.UndefinedOr(Span)
}) {
  override get message(): string {
    return `The outcome of a call to backend "${this.backend}" is unknown (${because(this.reason, this.detail)})`
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
  /** on a console, everything */
  override [NodeInspectSymbol](): unknown {
    return { ...this }
  }
}

/**
 * The call itself failed while the backend is well: the server answered with an error, a request was refused, or the
 * callback threw. `reason` is `undefined` where the answer came from the server or from the callback. `code` is what was
 * seen: the HTTP status, the code of the server's JSON-RPC error, an errno such as `ECONNREFUSED` or the code of a TLS error.
 *
 * @since 0.1.0
 */
export class CallFailed extends Schema.TaggedError<CallFailed>()("CallFailed", {
  backend: Schema.String,
  reason: Schema.UndefinedOr(FailureReason),
  code: Schema.UndefinedOr(Schema.Union([Schema.Number, Schema.String])),
  retryAfter: Schema.UndefinedOr(Span),
  cause: Thrown
}) {
  override get message(): string {
    const seen = [this.reason, this.code].filter((each) => each !== undefined)
    return `A call to backend "${this.backend}" failed${seen.length === 0 ? "" : ` (${seen.join(", ")})`}`
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
  /** on a console, everything */
  override [NodeInspectSymbol](): unknown {
    return { ...this, cause: this.cause }
  }
}

/**
 * The session to which `pinned` was bound has been replaced; what it held on the server is gone.
 *
 * @since 0.1.0
 */
export class SessionReplaced extends Schema.TaggedError<SessionReplaced>()("SessionReplaced", {
  backend: Schema.String,
  generation: Schema.Int
}) {
  override get message(): string {
    return `Session ${this.generation} of backend "${this.backend}" has been replaced`
  }

  /** as {@link Json} has it */
  override toJSON(): Schema.Json {
    return encode(this)
  }
}

/**
 * How `Backend.use` fails.
 *
 * @since 0.1.0
 */
export type CallError = SessionUnavailable | CallRejected | OutcomeUnknown | CallFailed
/** @since 0.1.0 */
export const CallError = Schema.Union([SessionUnavailable, CallRejected, OutcomeUnknown, CallFailed]).pipe(
  Schema.toTaggedUnion("_tag")
)

/**
 * Everything that a user of this library can meet.
 *
 * @since 0.1.0
 */
export type BackendError = ConfigurationError | CallError | SessionReplaced
/** @since 0.1.0 */
export const BackendError = Schema.Union([ConfigurationError, CallError, SessionReplaced]).pipe(
  Schema.toTaggedUnion("_tag")
)

/**
 * Whether it is one of these errors.
 *
 * @since 0.1.0
 */
export const is = Schema.is(BackendError)

/**
 * Errors as JSON: durations are numbers of milliseconds there, and what is `undefined` is `null`. What others wrote does
 * not leave the process: a `cause` is the name of its class alone, a `detail` has no `output`.
 *
 * @since 0.1.0
 */
export const Json = Schema.toCodecJson(BackendError)

const encode = Schema.encodeSync(Json)

const describe = (error: SessionUnavailable | CallRejected): string =>
  [
    error.state,
    ...(error.reason === undefined ? [] : [`last reason: ${because(error.reason, error.detail)}`]),
    ...(error.retryAfter === undefined
      ? []
      : [`retry after ${Duration.format(Duration.millis(Math.ceil(Duration.toMillis(error.retryAfter))))}`])
  ].join(", ")

const because = (reason: FailureReason, detail: FailureDetail | undefined): string =>
  detail?.summary === undefined ? reason : `${reason}, ${detail.summary}`
