/**
 * What a client of MCP 2026-07-28 is told while a request of its own is worked on: progress, where it has given a token, and what servers
 * log, from the level on that the request names. What changes is told to who listens to it.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What a request says of that. */
export interface Wanted {
  /** `undefined`: nothing that is logged */
  readonly logLevel: string | undefined
  readonly onNotification: (notification: Message.Notification) => void
}

/** RFC 5424's severities, the least first. */
const levels: ReadonlyArray<unknown> = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

/** How severe a level is, from 0 on; -1 where it is none. */
export const severityOf = (level: unknown): number => levels.indexOf(level)

/** Tells the client with the token that it has given. */
export const telling =
  ({ logLevel, onNotification }: Wanted, progressToken: Message.Id | undefined): Wanted["onNotification"] =>
  (notification) => {
    const { method, params } = notification
    if (changes.test(method)) return
    if (method === "notifications/message") {
      if (logLevel !== undefined && severityOf(params?.["level"]) >= severityOf(logLevel)) onNotification(notification)
    } else if (Message.progressOf(notification) === undefined) onNotification(notification)
    else if (progressToken !== undefined) onNotification({ ...notification, params: { ...params, progressToken } })
  }

const changes = /^notifications\/(tools|prompts|resources)\/(list_changed|updated)$/
