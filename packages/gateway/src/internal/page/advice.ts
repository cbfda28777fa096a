/**
 * The one thing to do about a backend, decided from its state and the reason for it. Where it comes back by itself, that is said, so
 * that nobody does what is needless.
 */
import type { ConnectionState, FailureReason, Operable } from "@vmcp-keepalive/core"
import type { Action } from "./wire.ts"

const action = (text: string, command: Operable.Command | null = null): Action => ({ text, command })

/** What mends the cause, where the cause is outside. It is tried again by itself whatever is done. */
const remedies: { readonly [Of in FailureReason.FailureReason]?: string } = {
  timeout: "See whether the server hangs",
  refused: "Start the server, or correct its address",
  dns: "Correct its host name, or mend name resolution",
  tls: "Renew its certificate, or trust who signed it",
  http_4xx: "Correct its URL or headers",
  http_5xx: "Look into the server's log",
  upstream: "Restart the server behind its gateway",
  spawn: "Correct its command: see stderr in the details",
  process_exit: "See stderr in the details",
  protocol: "Check that its URL is an MCP endpoint",
  overflow: "Look into the server: it sends too much",
  setup: "Look into the setup of its sessions",
  tool_missing: "Correct the tool in keepalive_method"
}

/** Attempts that a passing outage may take before somebody should look. */
const patience = 2

/** What to do now; `undefined` where there is nothing to be done. */
export const forState = (state: ConnectionState.ConnectionState): Action | undefined => {
  switch (state._tag) {
    case "Connected":
    case "Closed":
      return undefined
    case "Idle":
      return action("Nothing to do: the next call wakes it")
    case "Unhealthy":
      return state.held
        ? action("Wait for the call, or reconnect", "reconnect")
        : action("Nothing to do: the next probe decides")
    case "Connecting":
      return state.reason === undefined || state.attempt <= patience
        ? action("Nothing to do: an attempt is running")
        : action(remedies[state.reason] ?? "Nothing to do: an attempt is running")
    case "Disconnected":
      return state.attempt < patience
        ? action("Nothing to do: it is tried again by itself")
        : action(remedies[state.reason] ?? "Nothing to do: it is tried again by itself", "reconnect")
    case "CircuitOpen":
      return action(
        `${remedies[state.reason] ?? "Nothing to do: it is tried again by itself"}, or reconnect now`,
        "reconnect"
      )
    case "NeedsAuth":
      return action("Renew its credentials, then reset", "reset")
    case "Isolated":
      return action("Reset when it may serve again", "reset")
  }
}

/** What an operator may order in this state. */
export const commands = (state: ConnectionState.Tag): ReadonlyArray<Operable.Command> => {
  switch (state) {
    case "Connected":
    case "Unhealthy":
      return ["probe", "reconnect", "isolate", "reset"]
    case "Idle":
    case "Connecting":
    case "Disconnected":
    case "CircuitOpen":
    case "NeedsAuth":
      return ["reconnect", "isolate", "reset"]
    case "Isolated":
      return ["reset"]
    case "Closed":
      return []
  }
}
