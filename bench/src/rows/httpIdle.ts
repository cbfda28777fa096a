/** What a session over HTTP holds while nothing happens, its standing stream open. */
import { Effect } from "effect"
import * as Program from "../Program.ts"
import type { Kind, Report } from "../programs/idle.ts"
import type { Result, Row } from "../Row.ts"

const kinds = [
  { kind: "sdk", name: "SDK client and transport" },
  { kind: "connector", name: "session of the connector, without a backend" },
  { kind: "backend", name: "backend with its session" }
] as const satisfies ReadonlyArray<{ readonly kind: Kind; readonly name: string }>

export const httpIdle: Row = {
  name: "http-idle",
  title: "Heap of each of 500 sessions over HTTP that idle for 6 s",
  unit: "B",
  run: Effect.gen(function* () {
    // at once, because each mostly waits; what is measured is no time
    const reports = yield* Effect.forEach(
      kinds,
      ({ kind, name }) =>
        Effect.map(Program.run<Report>("idle", { args: [kind] }), (report) => ({ kind, name, report })),
      { concurrency: "unbounded" }
    )
    const of = (quantity: keyof Report): ReadonlyArray<Result> =>
      reports.map(({ name, report }) => ({ name, rounds: [report[quantity]] }))
    const found = (quantity: keyof Report, of: Kind = "connector") =>
      reports.find(({ kind }) => kind === of)?.report[quantity] ?? Number.NaN
    return {
      contestants: of("heap"),
      also: [
        { title: "descriptors of each", unit: "descriptors", contestants: of("descriptors") },
        { title: "resident memory of each", unit: "B", contestants: of("rss") }
      ],
      limits: [
        {
          what: "heap of a session of the connector",
          found: found("heap"),
          most: 20 * 1024,
          unit: "B",
          because: "the SDK's client, a connection with an open stream, and the state of a session"
        },
        {
          what: "heap of a backend with its session",
          found: found("heap", "backend"),
          most: 26 * 1024,
          unit: "B",
          because: "the session, and 4 KB of the backend's own"
        },
        {
          what: "descriptors of a session of the connector",
          found: found("descriptors"),
          most: 2,
          because: "the standing stream, and one connection for calls"
        }
      ]
    }
  })
}
