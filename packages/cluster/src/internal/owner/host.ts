/**
 * What a session tells, and is told, with more of it: every part is handed on as it is.
 */
import type { Connector } from "@vmcp-keepalive/core"

export const hostWith = (
  host: Connector.SessionHost,
  more: Pick<Connector.SessionHost, "sessions" | "maySend">
): Connector.SessionHost => ({
  alive: () => host.alive(),
  observe: (evidence) => host.observe(evidence),
  lost: (reason, detail) => host.lost(reason, detail),
  output: (last) => host.output(last),
  notice: (notice, count) => host.notice(notice, count),
  listChanged: (kind) => host.listChanged(kind),
  subscriptions: host.subscriptions,
  era: host.era,
  maySend: host.maySend,
  sessions: host.sessions,
  ...more
})
