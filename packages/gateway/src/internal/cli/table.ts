/** What `status` prints: pure. */
import { displayWidth } from "effect/cli/CliOutput"
import type { Cluster, Row, Status, Tone } from "../page/wire.ts"
import { plain, type Style } from "./style.ts"

/** A line for each backend, in columns, under a summary; and, where the gateway is one of several, one for each of them. */
export const table = (status: Status, style: Style): string => {
  const rows = status.backends.map((row) => cellsOf(row, status.at, status.cluster))
  const head = status.cluster === undefined ? columns : [...columns.slice(0, -1), "ON", ...columns.slice(-1)]
  const widths = head.map((title, column) =>
    Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[column] ?? "")))
  )
  const line = (cells: ReadonlyArray<string>, stress: (text: string, column: number) => string) =>
    cells
      .map((cell, column) => {
        const text = stress(cell, column)
        return column === cells.length - 1 ? text : text + " ".repeat((widths[column] ?? 0) - displayWidth(cell))
      })
      .join("  ")
      .trimEnd()
  return [
    summaryOf(status, style),
    ...(status.cluster === undefined ? [] : gatewaysOf(status.cluster, status.at, style)),
    ...(rows.length === 0 ? [] : ["", line(head, style.bold)]),
    ...rows.map((cells, index) => {
      const tone = status.backends[index]?.tone ?? "off"
      return line(cells, (text, column) => (column === stateColumn ? stressOf(tone, style)(text) : text))
    })
  ].join("\n")
}

const columns = ["BACKEND", "KIND", "STATE", "SINCE", "LATENCY", "TOOLS", "CALLS", "NEXT", "WHY"]
const stateColumn = 2

const summaryOf = ({ attention, total }: Status, style: Style): string => {
  if (total === 0) return "no backends"
  const servers = total === 1 ? "1 backend" : `${total} backends`
  return attention === 0
    ? `${servers}, ${style.good("all well")}`
    : `${servers}, ${style.bad(`${attention} ${attention === 1 ? "needs" : "need"} attention`)}`
}

const gatewaysOf = ({ processes, silentSince }: Cluster, now: number, style: Style): ReadonlyArray<string> => [
  ...processes.map(({ address, backends, healthy, here, lease }) =>
    [
      `${healthy ? "  " : style.bad("! ")}${plain(address)}${here ? " (this one)" : ""}`,
      `${backends} ${backends === 1 ? "backend" : "backends"}`,
      lease === null ? "no lease" : `lease ${ago(lease)}`,
      ...(healthy ? [] : ["does not answer"])
    ].join(", ")
  ),
  ...(silentSince === null
    ? []
    : [style.bad(`the database of the cluster does not answer, for ${ago(now - silentSince)}`)])
]

const cellsOf = (row: Row, now: number, cluster: Cluster | undefined): ReadonlyArray<string> =>
  [
    row.required ? `${row.id} (required)` : row.id,
    row.kind,
    row.word,
    ago(now - row.since),
    row.latency === null ? "-" : `${Math.round(row.latency)} ms`,
    String(row.tools),
    row.failed === 0 ? String(row.calls) : `${row.calls} (${row.failed} failed)`,
    row.nextAttemptAt === null ? "-" : `in ${ago(row.nextAttemptAt - now)}`,
    ...(cluster === undefined ? [] : [row.owner ?? "-"]),
    [row.why, row.action?.text ?? ""].filter((text) => text !== "").join(". ")
  ].map(plain)

const stressOf = (tone: Tone, style: Style) =>
  ({ ok: style.good, warn: style.warn, bad: style.bad, off: style.dim })[tone]

const units = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"]
] as const

/** In the largest unit of which there is at least one. */
const ago = (millis: number): string => {
  const [length, unit] = units.find(([each]) => millis >= each) ?? units[3]
  return `${Math.max(0, Math.floor(millis / length))} ${unit}`
}
