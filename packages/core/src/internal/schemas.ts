/**
 * The parts of which the schemas of what is told are made.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** A time of the wall clock, in milliseconds since 1970. */
export const Time = Schema.Finite

/** A count. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * The duration that has so many milliseconds. Their product with a million is rounded, so that from 50 days on it may be another
 * duration's, by a nanosecond: then it is one of the neighbours.
 */
const ofMillis = (millis: number): Duration.Duration => {
  if (!Number.isFinite(millis) || Number.isInteger(millis)) return Duration.millis(millis)
  const nanos = Math.round(millis * nanosPerMilli)
  // more than half of the distance to the next number that there is, and less than one and a half
  const step = Math.max(1, nanos * Number.EPSILON * 0.6)
  const found = [nanos, nanos + step, nanos - step].find((near) => near / nanosPerMilli === millis)
  return found === undefined ? Duration.millis(millis) : Duration.nanos(BigInt(found))
}

const nanosPerMilli = 1_000_000

const milliseconds = SchemaTransformation.transform<Duration.Duration, number>({
  decode: ofMillis,
  encode: Duration.toMillis
})

/** A span of time, zero or more; in JSON a number of milliseconds, and `"Infinity"` for one without an end. */
export const Span = Schema.Number.pipe(Schema.decodeTo(Schema.Duration, milliseconds)).check(
  Schema.makeFilter((span: Duration.Duration) => Duration.isGreaterThanOrEqualTo(span, Duration.zero), {
    expected: "a duration of zero or more"
  })
)
