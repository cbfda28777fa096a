/**
 * Levels of MCP's logging, which are those of syslog (RFC 5424, section 6.2.1).
 */

/** From the least severe on. */
const levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] as const

/** One of them. */
export type Level = (typeof levels)[number]

/** The request by which a client says from which level on it wants to know. */
export const method = "logging/setLevel"

/** Whether it is one. */
export const is = (value: unknown): value is Level => levels.some((level) => level === value)

/** The level from which on somebody wants to know; `undefined` where nobody has said. */
export const least = (wanted: ReadonlyArray<Level | undefined>): Level | undefined =>
  levels.find((level) => wanted.includes(level))

/** Whether a message of that level is for who wants to know from `wanted` on: of who has not said, and where the level is none, every one is. */
export const isEnough = (level: unknown, wanted: Level | undefined): boolean =>
  wanted === undefined || !is(level) || levels.indexOf(level) >= levels.indexOf(wanted)
