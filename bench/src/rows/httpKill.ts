/** How soon 2,000 calls in flight over HTTP are told that their server was killed. */
import { Effect } from "effect"
import * as Program from "../Program.ts"
import type { Killed, Report } from "../programs/kill.ts"
import type { Limit, Result, Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

export const httpKill: Row = {
  name: "http-kill",
  title: "From the first sign of the server's SIGKILL to the end of the last of 2,000 calls in flight (SSE)",
  unit: "ms",
  run: Effect.map(Program.run<Report>("kill"), (report) => {
    const [, ...ours] = report
    return {
      contestants: of(report, "last"),
      also: [{ title: "from the signal to its first sign", unit: "ms", contestants: of(report, "seen") }],
      limits: ours.flatMap((result) => [soon(result), known(result)]),
      remarks: report.map(({ name, rounds }) => `${name}: ${rounds.map(told).join("; ")}`)
    }
  })
}

const of = (report: Report, quantity: "last" | "seen"): ReadonlyArray<Result> =>
  report.map(({ name, rounds }) => ({ name, rounds: rounds.map((killed) => killed[quantity]) }))

const soon = ({ name, rounds }: Result<Killed>): Limit => ({
  what: `last of ${name}`,
  found: Spread.of(rounds.map(({ last }) => last)).median,
  most: 300,
  unit: "ms",
  because: "0.15 ms a call: its socket ends, its fiber is resumed, its error is made"
})

/**
 * Of every round: those that the server had begun may have been executed. So may one more or other that was written to a socket of
 * the dying process, which nobody read.
 */
const known = ({ rounds }: Result<Killed>): Limit => ({
  what: "its calls that do not end as what they are",
  found: rounds.reduce((sum, { ends, executing }) => sum + Math.max(0, executing - (ends["OutcomeUnknown"] ?? 0)), 0),
  most: 0,
  because: "a call that the server had begun is none of which anybody knows that it was not executed"
})

const told = ({ ends, executing }: Killed): string =>
  `${executing.toLocaleString("en")} begun, ${Object.entries(ends)
    .map(([end, count]) => `${count.toLocaleString("en")} ${end}`)
    .join(", ")}`
