/** What callers were told, and what the servers did. */
import type { McpServer } from "@vmcp-keepalive/testkit"

/** A call as its caller saw it. */
export interface Entry {
  readonly backend: string
  readonly kind: string
  /** the message of each request that it sends; no other call sends it */
  readonly messages: ReadonlyArray<string>
  readonly idempotent: boolean
  /** `Ok`, `WrongAnswer` if it is not the server's to this call, the tag of the error, or `GivenUp` */
  readonly outcome: string
  /** milliseconds */
  readonly took: number
}

/** How often each message was executed. */
export const countMessages = (executions: ReadonlyArray<McpServer.Execution>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { arguments: args } of executions) {
    const message = typeof args === "object" && args !== null ? Reflect.get(args, "message") : undefined
    if (typeof message === "string") counts.set(message, (counts.get(message) ?? 0) + 1)
  }
  return counts
}

/** Outcomes that say that the call was not executed. */
const neverSent: ReadonlySet<string> = new Set(["SessionUnavailable", "CallRejected", "SessionReplaced"])

/** What is not true of a call, in words; nothing where all is. */
export const untruths = (entry: Entry, executed: ReadonlyMap<string, number>, longest: number): ReadonlyArray<string> =>
  [
    ...entry.messages.flatMap((message) => {
      const times = executed.get(message) ?? 0
      if (times > 1 && !entry.idempotent) return [`executed ${times} times`]
      if (times === 0 && entry.outcome === "Ok") return ["answered, and never executed"]
      return times > 0 && neverSent.has(entry.outcome) ? [`${entry.outcome}, and executed`] : []
    }),
    ...(entry.outcome === "WrongAnswer" ? ["not its answer"] : []),
    ...(entry.took > longest ? [`settled after ${Math.round(entry.took)} ms`] : [])
  ].map((what) => `${entry.backend}, ${entry.kind}${entry.idempotent ? ", idempotent" : ""}, ${entry.outcome}: ${what}`)
