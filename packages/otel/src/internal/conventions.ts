/**
 * OpenTelemetry's metrics of an MCP client, of one backend: the semantic conventions for GenAI, `mcp.md`.
 *
 * Of the attributes they name, those that events know: the method, and why something failed. `backend_id` is added, for there is
 * no address of the server in an event. What a probe asks and how long a session lasted is known; a call is a callback that may
 * make several requests, which are not.
 */
import type { KeepaliveEvent } from "@vmcp-keepalive/core/KeepaliveEvent"
import * as Duration from "effect/Duration"
import * as Catalog from "./catalog.ts"

/** Records a duration in the series of these attributes. */
export type Report = (entry: Catalog.Histogram, attributes: Readonly<Record<string, string>>, seconds: number) => void

/** What a probe sends, by how it asks; one by HTTP alone is no operation of MCP. */
const methods: ReadonlyMap<string, string> = new Map([
  ["ping", "ping"],
  ["list-tools", "tools/list"],
  ["discover", "server/discover"],
  ["tool", "tools/call"]
])

/** A backend has two sessions at most that are not closed, and a third while one drains: more are forgotten ones. */
const mostSessions = 16

/** `now`: in milliseconds, by a clock that never goes back. */
export const make = (report: Report, now: () => number) => {
  /** when each session was opened, by its generation */
  const opened = new Map<number, number>()
  let probedAt = 0

  const operation = (probe: string, seconds: number, failure?: string) => {
    const method = methods.get(probe)
    if (method === undefined) return
    report(
      Catalog.operation,
      { "mcp.method.name": method, ...(failure === undefined ? {} : { "error.type": failure }) },
      seconds
    )
  }

  return (event: KeepaliveEvent): void => {
    switch (event._tag) {
      case "ProbeSent":
        probedAt = now()
        return
      case "ProbeSucceeded":
        return operation(event.method, Duration.toSeconds(event.latency))
      case "ProbeFailed":
        return operation(event.method, (now() - probedAt) / 1000, event.reason)
      case "AttemptSucceeded": {
        const [oldest] = opened.keys()
        if (oldest !== undefined && opened.size >= mostSessions) opened.delete(oldest)
        opened.set(event.generation, now())
        return
      }
      case "SessionClosed": {
        const at = opened.get(event.generation)
        if (at === undefined) return
        opened.delete(event.generation)
        const failure = event.reason === "closed" ? {} : { "error.type": event.reason }
        return report(Catalog.session, failure, (now() - at) / 1000)
      }
      case "Started":
        opened.clear()
    }
  }
}
