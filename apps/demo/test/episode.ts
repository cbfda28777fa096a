import { Duration } from "effect"
import type { Episode } from "../src/Expectation.ts"
import type { Call, Outcome } from "../src/Journal.ts"

let made = 0

/** A call that ended so, and how often the server executed it. */
export const ended = (outcome: Outcome, times: number): Call & { readonly times: number } => ({
  backend: "everything",
  key: `echo ${++made}`,
  idempotent: false,
  startedAt: 0,
  endedAt: 10,
  outcome,
  times
})

/** An episode that is as expected, but for the change. */
export const episode = (
  change: Partial<Omit<Episode, "calls">> & { readonly calls?: ReadonlyArray<Call & { readonly times?: number }> }
): Episode => {
  const calls = change.calls ?? [ended("ok", 1), ended("ok", 1), ended("unknown", 1), ended("rejected", 0)]
  return {
    fault: "server killed",
    backend: "everything",
    expectation: {
      detectedWithin: Duration.seconds(2),
      givenUpWithin: Duration.seconds(4),
      recoveredWithin: Duration.seconds(3),
      states: ["Connected", "Unhealthy", "Connecting", "Connected"],
      closedFor: ["reset"],
      calls: { ok: "some", failed: 0, unknown: "any", rejected: "any" }
    },
    sign: "the state is Connected no more",
    detected: 25.4,
    givenUp: 900,
    recovered: 1234.5,
    finalState: "Connected",
    states: ["Connected", "Unhealthy", "Unhealthy", "Connecting", "Disconnected", "Connecting", "Connected"],
    closed: ["reset"],
    wrong: [],
    ...change,
    calls,
    executions: new Map(calls.map(({ key, times }) => [key, times ?? 0]))
  }
}
