/**
 * OpenTelemetry's metrics of an MCP client, of one backend: the semantic conventions for GenAI, `mcp.md`.
 *
 * Of the attributes they name, those that events know: the method, and why something failed. `backend_id` is added, for there is
 * no address of the server in an event. A call whose requests are of one method is an operation of that method, as its caller saw
 * it: from its beginning, not from when it was sent.
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

/** Those that a client may call, as the conventions list them and the revision of 2026-07-28 adds them. */
const known: ReadonlySet<string> = new Set([
  "completion/complete",
  "logging/setLevel",
  "ping",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/subscribe",
  "resources/templates/list",
  "resources/unsubscribe",
  "server/discover",
  "tools/call",
  "tools/list"
])

/** A method is a word of the caller's, and each makes a series: the others share one, as OpenTelemetry does elsewhere. */
const other = "_OTHER"

/** A backend has two sessions at most that are not closed, and a third while one drains: more are forgotten ones. */
const mostSessions = 16

/** `now`: in milliseconds, by a clock that never goes back. */
export const make = (report: Report, now: () => number) => {
  /** when each session was opened, by its generation */
  const opened = new Map<number, number>()
  let probedAt = 0

  const operation = (method: string | undefined, seconds: number, failure?: string) => {
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
        return operation(methods.get(event.method), Duration.toSeconds(event.latency))
      case "ProbeFailed":
        return operation(methods.get(event.method), (now() - probedAt) / 1000, event.reason)
      case "CallSettled": {
        const { duration, method, outcome } = event
        // nothing of it was executed
        if (outcome === "rejected" || method === undefined) return
        return operation(
          known.has(method) ? method : other,
          Duration.toSeconds(duration),
          outcome === "ok" ? undefined : outcome
        )
      }
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
