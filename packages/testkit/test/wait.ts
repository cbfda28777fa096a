/** Waiting for what somebody else changes and says that he did. */
import { Effect, Schedule } from "effect"

export interface Waiters {
  /** Everybody looks again. */
  readonly notify: () => void
  /** Succeeds with what the function finds, at once or after some `notify`. */
  readonly wait: <A>(poll: () => A | undefined) => Effect.Effect<A>
}

export const waiters = (): Waiters => {
  const waiting = new Set<() => void>()
  return {
    notify: () => waiting.forEach((check) => check()),
    wait: <A>(poll: () => A | undefined) =>
      Effect.callback<A>((resume) => {
        const check = () => {
          const found = poll()
          if (found === undefined) return
          waiting.delete(check)
          resume(Effect.succeed(found))
        }
        waiting.add(check)
        check()
        return Effect.sync(() => waiting.delete(check))
      })
  }
}

/** Looks until it is true, for what says nothing when it changes: a process, a log. */
export const until = (look: Effect.Effect<boolean>): Effect.Effect<boolean> =>
  Effect.repeat(look, { until: (is) => is, schedule: Schedule.spaced("2 millis") })
