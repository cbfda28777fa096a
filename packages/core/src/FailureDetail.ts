/**
 * What a transport knows of a failure beyond its {@link FailureReason}, for those who have to mend it.
 */
import * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"

/**
 * How a session, an attempt or a call ended, in the transport's words and in the server's.
 *
 * @since 0.1.0
 */
export interface FailureDetail {
  /**
   * A phrase of this library's own, free of any text from the server: `HTTP 503`, `ECONNRESET on read`, `exit code 1`. Events
   * have it too. `undefined` where the reason says it all.
   */
  readonly summary: string | undefined
  /**
   * What others wrote: the last lines of the server itself, where the transport keeps them (stdio: stderr), or what code of
   * the app's own has thrown (`setup`, headers). They may hold anything, so they are for the caller alone: in no message,
   * event, log, metric or JSON.
   */
  readonly output: ReadonlyArray<string>
}

/**
 * Details, as they are checked, decoded and encoded: `output` stays in the process that saw it, and is decoded as empty.
 *
 * @since 0.1.0
 */
export const FailureDetail: Schema.Codec<FailureDetail, { readonly summary: string | undefined }> = Schema.Struct({
  summary: Schema.UndefinedOr(Schema.String),
  output: Schema.Array(Schema.String)
}).pipe(
  Schema.encodeTo(Schema.Struct({ summary: Schema.UndefinedOr(Schema.String) }), {
    decode: SchemaGetter.transform(({ summary }) => ({ summary, output: [] })),
    encode: SchemaGetter.transform(({ summary }) => ({ summary }))
  })
)

/**
 * Whether it is a detail.
 *
 * @since 0.1.0
 */
export const is = Schema.is(FailureDetail)

/**
 * Details as JSON, without their `output`.
 *
 * @since 0.1.0
 */
export const Json = Schema.toCodecJson(FailureDetail)

/**
 * Of code of the app's own that threw or failed: the first lines of what it said.
 *
 * @since 0.1.0
 */
export const ofCause = (cause: Cause.Cause<unknown>): FailureDetail => ({
  summary: undefined,
  output: Cause.pretty(cause).split("\n", maxLines)
})

const maxLines = 20
