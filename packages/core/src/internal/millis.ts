import * as Duration from "effect/Duration"

/** `Duration.toMillis`, which makes four functions to look at one number: too dear for what every probe asks. */
export const millisOf = (duration: Duration.Duration): number =>
  duration.value._tag === "Millis" ? duration.value.millis : Duration.toMillis(duration)
