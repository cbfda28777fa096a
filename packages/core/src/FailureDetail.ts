/**
 * What a transport knows of a failure beyond its {@link FailureReason}, for those who have to mend it.
 */
import * as Schema from "effect/Schema"

/** How a session or an attempt ended, in the transport's words and in the server's. */
export interface FailureDetail {
  /**
   * A phrase of the transport's own, free of any text from the server: `exit code 1`, `signal SIGKILL`. Events have it too.
   * `undefined` where the reason says it all.
   */
  readonly summary: string | undefined
  /**
   * The last lines that the server itself wrote, where the transport keeps them (stdio: stderr). They may hold whatever
   * the server logs, so they are for the caller alone: in no message, event, log or metric.
   */
  readonly output: ReadonlyArray<string>
}

/** As it is decoded and encoded. */
export const FailureDetail = Schema.Struct({
  summary: Schema.UndefinedOr(Schema.String),
  output: Schema.Array(Schema.String)
})
