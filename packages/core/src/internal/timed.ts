/**
 * States as the table decides them, and as users see them.
 */
import type { ConnectionState, Untimed } from "../ConnectionState.ts"

/**
 * The same state with its times. Each is written out: every backend keeps one, and of an object that is spread into another one
 * V8 may make a hidden class for each.
 */
export const timed = (state: Untimed, since: number, nextAttemptAt: number | undefined): ConnectionState => {
  switch (state._tag) {
    case "Idle":
    case "Isolated":
    case "Closed":
      return { _tag: state._tag, since }
    case "Connecting":
      return { _tag: "Connecting", since, attempt: state.attempt, trial: state.trial, reason: state.reason }
    case "Connected":
      return { _tag: "Connected", since, generation: state.generation }
    case "Unhealthy": {
      const { failures, generation, held, reason } = state
      return { _tag: "Unhealthy", since, generation, failures, reason, held }
    }
    case "Disconnected":
      return { _tag: "Disconnected", since, nextAttemptAt, attempt: state.attempt, reason: state.reason }
    case "CircuitOpen":
      return { _tag: "CircuitOpen", since, nextAttemptAt, openings: state.openings, reason: state.reason }
    case "NeedsAuth":
      return { _tag: "NeedsAuth", since, nextAttemptAt }
  }
}
