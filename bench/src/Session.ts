/** A session without a backend: what reads it here notices nothing. */
import type { Connector } from "@vmcp-keepalive/core"

/** Opens one; it ends with the scope. */
export const open = <Client, R>(connector: Connector.Connector<Client, R>) => connector.open(nobody)

const nobody: Connector.SessionHost = {
  alive: () => performance.now(),
  observe: () => {},
  lost: () => {},
  output: () => {},
  notice: () => {},
  listChanged: () => {},
  subscriptions: new Set()
}
