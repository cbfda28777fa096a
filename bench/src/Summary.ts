/** What is shown of a row: least, median and greatest, of the values and of the ratios within each round. */
import type { Limit, Measured, Result, Row, Unit } from "./Row.ts"
import * as Spread from "./Spread.ts"

export interface Line {
  readonly name: string
  readonly value: Spread.Spread
  /** beside the first of the table, round by round; absent for the first itself */
  readonly ratio?: Spread.Spread
}

export interface Table {
  readonly title: string
  readonly unit: Unit
  readonly lines: ReadonlyArray<Line>
}

export interface Summary extends Table {
  readonly row: string
  readonly rounds: number
  /** what else was measured in the same rounds */
  readonly also: ReadonlyArray<Table>
  readonly limits: ReadonlyArray<Limit>
  readonly remarks: ReadonlyArray<string>
}

export const make = (row: Row, { also = [], contestants, limits = [], remarks = [] }: Measured): Summary => ({
  row: row.name,
  title: row.title,
  unit: row.unit,
  rounds: contestants[0]?.rounds.length ?? 0,
  lines: linesOf(contestants),
  also: also.map(({ contestants: results, title, unit }) => ({ title, unit, lines: linesOf(results) })),
  limits,
  remarks
})

const linesOf = ([first, ...others]: ReadonlyArray<Result>): ReadonlyArray<Line> =>
  first === undefined
    ? []
    : [
        { name: first.name, value: Spread.of(first.rounds) },
        ...others.map(({ name, rounds }) => ({
          name,
          value: Spread.of(rounds),
          ratio: Spread.ratio(rounds, first.rounds)
        }))
      ]

/** What exceeds its limit, in a line each. */
export const broken = ({ limits, row }: Summary): ReadonlyArray<string> =>
  limits
    .filter(({ found, most }) => !(found <= most))
    .map((limit) => `${row}: ${limit.what}: ${amount(limit.found, limit)}, ${atMost(limit)}: ${limit.because}`)

const amount = (value: number, { unit }: Limit) =>
  unit === "×"
    ? ratioOf(value)
    : `${Number.isInteger(value) || value >= 100 ? Math.round(value).toLocaleString("en") : number(value)}${unit === undefined ? "" : ` ${unit}`}`
const atMost = (limit: Limit) => `at most ${amount(limit.most, limit)}`

const number = (value: number) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3))
const cell = ({ max, median, min }: Spread.Spread, render: (value: number) => string) =>
  `${render(median).padStart(9)}  ${(min === max ? "" : `${render(min)} – ${render(max)}`).padEnd(19)}`

/** A table to be read. */
export const text = ({ also, limits, lines, remarks, rounds, title, unit }: Summary): string => {
  const names = [lines, ...also.map((table) => table.lines)].flat().map(({ name }) => name)
  const width = Math.max(...[...names, ...limits.map(({ what }) => what)].map(lengthOf))
  const rendered = ({ name, ratio, value }: Line) =>
    `  ${name.padEnd(width)}  ${cell(value, number)}  ${ratio === undefined ? "" : `${cell(ratio, ratioOf)}`}`.trimEnd()
  const many = rounds === 1 ? "" : `, ${rounds} rounds: median, least – greatest`
  return [
    `${title} (${unit}${many})`,
    ...lines.map(rendered),
    ...also.flatMap((table) => [`  - ${table.title} (${table.unit})`, ...table.lines.map(rendered)]),
    ...(also.length > 0 && limits.length > 0 ? ["  - limits"] : []),
    ...limits.map(
      (limit) => `  ${limit.what.padEnd(width)}  ${amount(limit.found, limit).padStart(9)}  ${atMost(limit)}`
    ),
    ...remarks.map((remark) => `  ${remark}`)
  ].join("\n")
}

const lengthOf = (text: string) => text.length
const ratioOf = (value: number) => `${number(value)}×`
