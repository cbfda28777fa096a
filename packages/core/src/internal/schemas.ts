/**
 * The parts of which the schemas of what is told are made.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** A time of the wall clock, in milliseconds since 1970. */
export const Time = Schema.Finite

/** A count. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A span of time, zero or more; in JSON a number of milliseconds, and `"Infinity"` for one without an end. */
export const Span = Schema.DurationFromMillis.check(
  Schema.makeFilter((span: Duration.Duration) => Duration.isGreaterThanOrEqualTo(span, Duration.zero), {
    expected: "a duration of zero or more"
  })
)
