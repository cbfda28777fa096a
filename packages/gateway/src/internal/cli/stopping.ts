/** What ends a program that would run for ever, and how long that may take. */
import * as Effect from "effect/Effect"

const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const

/**
 * When this process is to end, in milliseconds after it was asked: whoever waits for it waits two seconds, of which a busy machine takes some. What does
 * not end in time is left to the watchdogs of the children.
 */
const deadline = 1_700

/** How much longer than its calls under way a process of a cluster takes: to hand its backends over, and to tell the others. */
const handover = 3_000

/** When a process of a cluster is to end, which waits for calls that long. */
export const afterDrain = (drain: number): number => drain + handover

/** One who was asked twice does not wait. */
const atOnce = 1

/**
 * Succeeds when this process is asked to end: by SIGTERM, SIGINT or SIGHUP, or since nobody reads stdout any more. From then on it ends within so many
 * milliseconds (two seconds where nothing else is said), whatever else happens, and at once when it is asked again.
 */
export const requested = (millis?: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let isRequested = false
    const request = () => {
      if (isRequested) process.exit(atOnce)
      isRequested = true
      within(millis)
      resume(Effect.void)
    }
    for (const signal of signals) process.on(signal, request)
    process.stdout.on("error", () => {
      if (!isRequested) request()
    })
    // who does not read what is told there still uses the gateway
    process.stderr.on("error", ignore)
  })

const ignore = () => {}

/** Ends this process, however busy it is; it ends earlier where nothing is left to do. */
export const within = (millis: number = deadline): void => {
  setTimeout(() => process.exit(), millis).unref()
}
