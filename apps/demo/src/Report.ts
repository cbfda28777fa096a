/** What the demo prints: a line for each thing that happens, and in the end a table, for people or as JSON. Pure. */
import type { ConnectionState, Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import * as Expectation from "./Expectation.ts"
import type { Episode } from "./Expectation.ts"
import type { Call, Entry, Outcome, RemarkKind, State } from "./Journal.ts"
import type { Style } from "./Style.ts"

/** One row of the table, as `--json` prints it. */
export interface Row {
  readonly fault: string
  readonly backend: string
  /** from the fault's mark */
  readonly detectedMs: number | null
  /** from the fault's end */
  readonly recoveredMs: number | null
  readonly finalState: State
  readonly calls: Readonly<Record<Outcome, number>>
  /** how often the server executed calls of this row, by its own count */
  readonly executedByServer: number
  readonly met: boolean
  /** what is not as expected */
  readonly unmet: ReadonlyArray<string>
}

/** What holds of many calls. */
export type Summed = Pick<Row, "calls" | "executedByServer" | "met" | "unmet">

export interface Report {
  readonly faults: ReadonlyArray<Row>
  /** the calls at times without a fault, which must all be ok */
  readonly otherwise: Summed
  /** the calls of one client, in one session with the gateway from the first to the last fault */
  readonly client: Summed
  readonly seconds: number
  readonly met: boolean
}

/** What was measured of the whole tour. */
export interface Measured {
  readonly episodes: ReadonlyArray<Episode>
  /** the calls that belong to no episode */
  readonly otherwise: Pick<Episode, "calls" | "executions">
  /** those of the client, and what no client should meet */
  readonly client: Pick<Episode, "calls" | "executions" | "wrong">
  /** milliseconds from the start of the demo to the end of the tour */
  readonly duration: number
}

// ------------------------------------------------------------------------------------------------------ constructors

export const make = ({ client, duration, episodes, otherwise }: Measured): Report => {
  const faults = episodes.map((episode): Row => {
    const unmet = Expectation.judge(episode)
    return {
      fault: episode.fault,
      backend: episode.backend,
      detectedMs: milliseconds(episode.detected),
      recoveredMs: milliseconds(episode.recovered),
      finalState: episode.finalState,
      calls: tally(episode.calls),
      executedByServer: Expectation.executed(episode),
      met: unmet.length === 0,
      unmet
    }
  })
  const calm = summed(
    otherwise,
    otherwise.calls.every(({ outcome }) => outcome === "ok") ? [] : ["a call failed at a time without a fault"]
  )
  const kept = summed(client, [...(client.calls.length > 0 ? [] : ["it called nothing"]), ...client.wrong])
  return {
    faults,
    otherwise: calm,
    client: kept,
    seconds: Math.round(duration / 100) / 10,
    met: faults.length > 0 && faults.every(({ met }) => met) && calm.met && kept.met
  }
}

const summed = (of: Pick<Episode, "calls" | "executions">, wrong: ReadonlyArray<string>): Summed => {
  const unmet = [...wrong, ...Expectation.untruths(of)]
  return { calls: tally(of.calls), executedByServer: Expectation.executed(of), met: unmet.length === 0, unmet }
}

const milliseconds = (measured: number | undefined) => (measured === undefined ? null : Math.round(measured))

const tally = (calls: ReadonlyArray<Call>): Record<Outcome, number> => ({
  ok: Expectation.count(calls, "ok"),
  failed: Expectation.count(calls, "failed"),
  unknown: Expectation.count(calls, "unknown"),
  rejected: Expectation.count(calls, "rejected")
})

// ------------------------------------------------------------------------------------------------------------- lines

/** The line of an entry, if it is worth one. `startedAt` is the zero of its clock, `width` that of the backends' ids. */
export const line = (
  entry: Entry,
  { startedAt, style, width }: { readonly startedAt: number; readonly style: Style; readonly width: number }
): string | undefined => {
  const text = describe(entry, style)
  if (text === undefined) return undefined
  const seconds = `${((entry.at - startedAt) / 1000).toFixed(1)}s`.padStart(6)
  return `${style.dim(seconds)}  ${entry.backend.padEnd(width)}  ${text}`
}

const describe = (entry: Entry, style: Style): string | undefined => {
  switch (entry._tag) {
    case "Remark":
      return remarks[entry.kind](entry.text, style)
    case "Event": {
      const { event } = entry
      if (event._tag === "StateChanged") {
        // The program's own end.
        if (event.to._tag === "Closed") return undefined
        return `${event.from._tag} → ${colored(event.to._tag, style)}${style.dim(details(event.to))}`
      }
      const told = tell(event)
      return told === undefined ? undefined : style.dim(told)
    }
    default:
      return undefined
  }
}

/** What became of backends, for one line: at most ten are named. */
export const changes = (all: ReadonlyArray<Fleet.Change>): string => {
  const named = all.slice(0, 10).map((change) => {
    if (change._tag === "Added") return `+ ${change.id}`
    if (change._tag === "Removed") return `- ${change.id}`
    return `${change.id}: another ${change.what.join(" and ")}`
  })
  return [...named, ...(all.length > named.length ? [`and ${all.length - named.length} more`] : [])].join(", ")
}

const remarks: Readonly<Record<RemarkKind, (text: string, style: Style) => string>> = {
  fault: (text, style) => style.bold(`▼ ${text}`),
  told: (text) => text,
  end: (text, style) => style.dim(`▲ over: ${text}`)
}

/** What is no change of state and worth a line all the same. */
const tell = (event: KeepaliveEvent.KeepaliveEvent): string | undefined => {
  switch (event._tag) {
    case "Noticed":
      return `${notices[event.notice]}${event.count > 1 ? ` (${event.count} times)` : ""}`
    case "SessionClosed":
      return event.detail === undefined ? undefined : `session ${event.generation} lost: ${event.detail}`
    default:
      return undefined
  }
}

const notices = {
  stream_lost: "standing stream lost, being opened again",
  stream_restored: "standing stream open again",
  answer_resumed: "answer resumed where it was cut",
  garbage: "the server sent what is no message"
}

const colored = (state: State, style: Style) => {
  switch (state) {
    case "Connected":
      return style.good(state)
    case "Idle":
    case "Connecting":
      return state
    case "Unhealthy":
    case "Disconnected":
      return style.warn(state)
    default:
      return style.bad(state)
  }
}

const details = (state: ConnectionState.ConnectionState): string => {
  switch (state._tag) {
    case "Connecting":
      return state.trial ? " (trial)" : state.attempt > 1 ? ` (attempt ${state.attempt})` : ""
    case "Connected":
      return ` (session ${state.generation})`
    case "Unhealthy":
      return ` (${state.reason}${state.failures > 1 ? `, ${state.failures} in a row` : ""})`
    case "Disconnected":
    case "CircuitOpen":
      return ` (${state.reason})`
    default:
      return ""
  }
}

// ------------------------------------------------------------------------------------------------------------- table

/** The closing table. */
export const table = (report: Report, style: Style): string => {
  const header = ["fault", "backend", "detected", "recovered", "state", ...callHeaders, "executed", "met"]
  const rows = report.faults.map((row) => [
    row.fault,
    row.backend,
    time(row.detectedMs),
    time(row.recoveredMs),
    row.finalState,
    ...Expectation.outcomes.map((outcome) => String(row.calls[outcome])),
    String(row.executedByServer),
    row.met ? "yes" : "NO"
  ])
  const sums = [sumRow("(no fault)", "all", report.otherwise), sumRow("(one client's session)", "all", report.client)]
  const all = [header, ...rows, ...sums]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const isNumber = (column: number) => column === 2 || column === 3 || (column >= 5 && column < header.length - 1)
  const render = (row: ReadonlyArray<string>) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0
      return isNumber(column) ? cell.padStart(width) : cell.padEnd(width)
    })
  const body = [...rows, ...sums].map((row) => {
    const cells = render(row)
    const last = cells.pop() ?? ""
    return [...cells, row.at(-1) === "yes" ? style.good(last) : style.bad(last)].join("  ").trimEnd()
  })
  const rule = "─".repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  return [
    style.bold(render(header).join("  ").trimEnd()),
    style.dim(rule),
    ...body.slice(0, -sums.length),
    style.dim(rule),
    ...body.slice(-sums.length),
    "",
    ...legend.map(style.dim),
    "",
    ...unmetLines(report, style),
    closing(report, style)
  ].join("\n")
}

const sumRow = (what: string, backend: string, { calls, executedByServer, met }: Summed): ReadonlyArray<string> => [
  what,
  backend,
  "",
  "",
  "",
  ...Expectation.outcomes.map((outcome) => String(calls[outcome])),
  String(executedByServer),
  met ? "yes" : "NO"
]

const callHeaders = ["ok", "failed", "unknown", "rejected"]

const legend = [
  "detected: from the fault's mark; recovered: from its end, or from its mark if nobody but the backend ends it;",
  "calls: as their callers were told; executed: by the servers' own count, where an idempotent call may be executed",
  "again and no other may. The client called all backends through the gateway, in one session from beginning to end."
]

const time = (measured: number | null) => {
  if (measured === null) return "never"
  return measured < 1000 ? `${measured} ms` : `${(measured / 1000).toFixed(2)} s`
}

const unmetLines = (report: Report, style: Style): ReadonlyArray<string> => {
  const sums = [
    { ...report.otherwise, backend: "all", fault: "no fault" },
    { ...report.client, backend: "all", fault: "the client's session" }
  ]
  const rows = [...report.faults, ...sums].filter(({ met }) => !met)
  return rows.flatMap(({ backend, fault, unmet }) => [
    style.bad(`✗ ${backend}: ${fault}`),
    ...unmet.slice(0, 10).map((what) => `    ${what}`),
    ...(unmet.length > 10 ? [`    … and ${unmet.length - 10} more`] : []),
    ""
  ])
}

const closing = (report: Report, style: Style): string => {
  const met = report.faults.filter((row) => row.met).length
  const text = `${met} of ${report.faults.length} faults as expected, in ${report.seconds.toFixed(1)} s`
  return style.bold(report.met ? style.good(text) : style.bad(text))
}

/** The same for programs. */
export const json = (report: Report): string => JSON.stringify(report, undefined, 2)
