/** One process with 2,000 live connections. */
import { Effect } from "effect"
import * as Program from "../Program.ts"
import type { Report } from "../programs/many.ts"
import type { Limit, Row } from "../Row.ts"

export const httpMany: Row = {
  name: "http-many",
  title: "Heap of each of 2,000 backends in one process, connected over HTTP, just after it has answered a ping",
  unit: "B",
  run: Effect.map(Program.run<Report>("many"), (report) => {
    const each = (quantity: keyof Report["each"]) => [
      { name: "backend with its session", rounds: [report.each[quantity]] }
    ]
    return {
      contestants: each("heap"),
      also: [
        { title: "descriptors of each", unit: "descriptors", contestants: each("descriptors") },
        { title: "resident memory of each", unit: "B", contestants: each("rss") }
      ],
      limits: limitsOf(report),
      remarks: [
        `all opened in ${seconds(report.took.open)}, 50 at once; asked in ${seconds(report.took.ping)}, 100 at once; closed in ${seconds(report.took.close)}`
      ]
    }
  })
}

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`

const limitsOf = ({ answered, connected, count, left }: Report): ReadonlyArray<Limit> => [
  {
    what: "backends that are not connected",
    found: count - connected,
    most: 0,
    because: "the server answers, and there are descriptors for more"
  },
  {
    what: "pings without an answer",
    found: count - answered,
    most: 0,
    because: "each has a live session"
  },
  {
    what: "descriptors left when all are closed",
    found: left.descriptors,
    most: 0,
    because: "connections end with their session"
  },
  {
    what: "sessions left on the server",
    found: left.sessions,
    most: 0,
    because: "a session that is closed is terminated with DELETE"
  },
  {
    what: "standing streams left on the server",
    found: left.streams,
    most: 0,
    because: "they end with their session"
  }
]
