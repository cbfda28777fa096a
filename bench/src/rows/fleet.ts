/** What 10,000 backends of one configuration file cost. */
import { Effect } from "effect"
import * as Program from "../Program.ts"
import type { Kind, Report } from "../programs/fleet.ts"
import type { Row } from "../Row.ts"

const count = 10_000

const run = (kind: Kind) => Program.run<Report>("fleet", { args: [kind, String(count)] })

export const fleet: Row = {
  name: "fleet",
  title: "Heap of each of 10,000 backends of one configuration file, in memory, above that of its session",
  unit: "B",
  run: Effect.gen(function* () {
    // one after the other: what each costs is measured while nothing else works
    const sessions = yield* run("sessions")
    const report = yield* run("fleet")
    const heap = report.heap - sessions.heap
    const whole = report.read + report.made + report.connected
    return {
      contestants: [{ name: "backend of a fleet, with its spec", rounds: [heap] }],
      limits: [
        {
          what: "heap above its session of one of 10,000 backends",
          found: heap,
          most: 4096,
          unit: "B",
          because: "no fiber, no timer and no policy of its own; its spec is kept to be compared"
        },
        {
          what: "from the file to 10,000 backends that are connected",
          found: whole,
          most: 10_000,
          unit: "ms",
          because: "one attempt each, in memory"
        },
        { what: "to close 10,000", found: report.closed, most: 1000, unit: "ms", because: "nothing of them runs" }
      ],
      remarks: [
        `the file was read in ${seconds(report.read)}, the fleet made in ${seconds(report.made)}, and connected ${seconds(report.connected)} later`,
        `a file in which one of them has another policy was read and taken in ${seconds(report.changed)}; all were closed in ${seconds(report.closed)}`
      ]
    }
  })
}

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`
