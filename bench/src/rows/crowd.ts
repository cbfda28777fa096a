/** What many backends cost, and whether one of many costs more than one of few: beside the circuit breakers of others. */
import { Effect } from "effect"
import * as Program from "../Program.ts"
import type { Kind, Report } from "../programs/crowd.ts"
import type { Limit, Result, Row } from "../Row.ts"

const sizes = [10, 100, 1000, 10_000] as const

/** Seconds between probes: with fewer backends shorter, so that there are probes to be measured; of sessions only the heap is. */
const intervalOf = (kind: Kind, count: number) =>
  kind === "session" ? 0 : kind === "backend" && count === 10_000 ? 30 : 10

const run = (kind: Kind, count: number) =>
  Effect.map(
    Program.run<Report>("crowd", { args: [kind, String(count), String(intervalOf(kind, count))] }),
    (report) => ({
      kind,
      count,
      report
    })
  )

export const crowd: Row = {
  name: "crowd",
  title: "Heap of each of so many that idle in one process",
  unit: "B",
  run: Effect.gen(function* () {
    // one after the other: what each costs is measured while nothing else works
    const sessions = yield* Effect.forEach(sizes, (count) => run("session", count))
    const backends = yield* Effect.forEach(sizes, (count) => run("backend", count))
    const cockatiel = yield* run("cockatiel", 10_000)
    const opossum = yield* run("opossum", 10_000)
    const heapOfSession = (count: number) =>
      sessions.find((session) => session.count === count)?.report.heap ?? Number.NaN
    const peers = [
      { name: "circuit breaker of cockatiel, of 10,000", report: cockatiel.report },
      { name: "circuit breaker of opossum, of 10,000", report: opossum.report }
    ]
    const table = (quantity: (report: Report, count: number) => number): ReadonlyArray<Result> => [
      ...backends.map(({ count, report }) => ({
        name: `backend, of ${count.toLocaleString("en")}`,
        rounds: [quantity(report, count)]
      })),
      ...peers.map(({ name, report }) => ({ name, rounds: [quantity(report, 0)] }))
    ]
    const most = backends.find(({ count }) => count === 10_000)
    const limits: ReadonlyArray<Limit> =
      most === undefined
        ? []
        : [
            {
              what: "heap above its session of one of 10,000 backends",
              found: most.report.heap - heapOfSession(10_000),
              most: 4096,
              unit: "B",
              because: "no fiber, no timer and no policy of its own"
            },
            {
              what: "CPU to make one",
              found: most.report.made,
              most: 150,
              unit: "µs",
              because: "one attempt in memory"
            },
            {
              what: "to close 10,000",
              found: most.report.closed,
              most: 500,
              unit: "ms",
              because: "nothing of them runs"
            },
            {
              what: "CPU of a probe",
              found: most.report.kept.cpu / most.report.kept.probes,
              most: 45,
              unit: "µs",
              because: "one fiber, and a place in the queue of deadlines"
            }
          ]
    return {
      contestants: table((report, count) => report.heap - (count === 0 ? 0 : heapOfSession(count))),
      also: [
        { title: "CPU to make one", unit: "µs", contestants: table(({ made }) => made) },
        {
          title: "CPU for a second of keeping all of them",
          unit: "µs",
          contestants: table(({ kept }) => kept.cpu / kept.seconds)
        },
        {
          title: "CPU of a probe, over two whole intervals",
          unit: "µs",
          contestants: backends.map(({ count, report: { kept } }) => ({
            name: `backend, of ${count.toLocaleString("en")}`,
            rounds: [kept.cpu / kept.probes]
          }))
        },
        { title: "to close all of them", unit: "ms", contestants: table(({ closed }) => closed) }
      ],
      limits,
      remarks: [
        "the heap of a backend is told above that of its session, which is in memory",
        ...(most === undefined
          ? []
          : [
              `10,000 backends that are probed every 30 s take ${((most.report.kept.cpu / most.report.kept.seconds / 1e6) * 100).toFixed(2)} % of a core; 10,000 circuit breakers of opossum, which ask nothing, ${((opossum.report.kept.cpu / opossum.report.kept.seconds / 1e6) * 100).toFixed(2)} %`
            ])
      ]
    }
  })
}
