/**
 * One of the hosts that share a session: what is its own in it.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"

/** RFC 5424's severities as MCP names them, the most verbose first. */
const levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

/** The place of a level; the more verbose, the lower. `undefined` for what is none. */
const severity = (level: unknown): number | undefined => {
  const at = typeof level === "string" ? levels.indexOf(level) : -1
  return at === -1 ? undefined : at
}

/** What hosts have set that a server has one of. */
export interface Settings {
  /** the level of log messages that the host wants */
  readonly level: string | undefined
  readonly subscriptions: ReadonlySet<string>
}

/** The most verbose level that any of them has set: what the server is told. */
export const levelOf = (hosts: Iterable<Settings>): string | undefined => {
  let lowest: number | undefined
  for (const { level } of hosts) {
    const own = severity(level)
    if (own !== undefined && (lowest === undefined || own < lowest)) lowest = own
  }
  return lowest === undefined ? undefined : levels[lowest]
}

/** Whether a level is one that MCP knows. */
export const isLevel = (level: unknown): level is string => severity(level) !== undefined

/** What one that has set none gets where another has. */
const unset = "info"

/** Whether a host gets a log message, where `anySet` tells whether any host has set a level. */
export const getsLog = ({ level }: Settings, { params }: Message.Notification, anySet: boolean): boolean => {
  if (!anySet) return true
  const own = severity(level ?? unset) ?? 0
  return (severity(params?.["level"]) ?? levels.length) >= own
}

/** Whether a host is told that a resource has changed: that, or one of which it is a part, is one that it has subscribed to. */
export const getsUpdate = ({ subscriptions }: Settings, uri: unknown): boolean => {
  if (typeof uri !== "string") return false
  if (subscriptions.has(uri)) return true
  for (const subscribed of subscriptions) if (uri.startsWith(subscribed)) return true
  return false
}
