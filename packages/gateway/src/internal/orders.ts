/** What became of an operator's order, by the state that follows. */
import type { ConnectionState, Operable } from "@vmcp-keepalive/core"

/** A backend of a cluster is not isolated, and not reset, where nobody keeps it that can be reached, and where the cluster's database does not answer. */
export const isCarriedOut = (command: Operable.Command, { _tag }: ConnectionState.ConnectionState): boolean => {
  switch (command) {
    case "isolate":
      return _tag === "Isolated" || _tag === "Closed"
    case "reset":
      return _tag !== "Isolated"
    case "probe":
    case "reconnect":
      return true
  }
}
