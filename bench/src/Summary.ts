/** What is shown of a row: least, median and greatest, of the values and of the ratios within each round. */
import type { Limit, Measured, Row } from "./Row.ts"

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export interface Line {
  readonly name: string
  readonly value: Spread
  /** beside the first of the row, round by round; absent for the first itself */
  readonly ratio?: Spread
}

export interface Summary {
  readonly row: string
  readonly title: string
  readonly unit: Row["unit"]
  readonly rounds: number
  readonly lines: ReadonlyArray<Line>
  readonly limits: ReadonlyArray<Limit>
  readonly remarks: ReadonlyArray<string>
}

const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return { min: at(0), median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, max: at(sorted.length - 1) }
}

export const make = (row: Row, { contestants, limits = [], remarks = [] }: Measured): Summary => {
  const [first, ...others] = contestants
  const base = first?.rounds ?? []
  const line = ({ name, rounds }: Measured["contestants"][number]): Line => ({
    name,
    value: spread(rounds),
    ratio: spread(rounds.map((value, round) => value / (base[round] ?? Number.NaN)))
  })
  return {
    row: row.name,
    title: row.title,
    unit: row.unit,
    rounds: base.length,
    lines: [...(first === undefined ? [] : [{ name: first.name, value: spread(base) }]), ...others.map(line)],
    limits,
    remarks
  }
}

/** What exceeds its limit, in a line each. */
export const broken = ({ limits, row }: Summary): ReadonlyArray<string> =>
  limits
    .filter(({ found, most }) => !(found <= most))
    .map((limit) => `${row}: ${limit.what}: ${amount(limit.found, limit)}, ${atMost(limit)}: ${limit.because}`)

const amount = (value: number, { unit }: Limit) =>
  `${Math.round(value).toLocaleString("en")}${unit === undefined ? "" : ` ${unit}`}`
const atMost = (limit: Limit) => `at most ${amount(limit.most, limit)}`

const number = (value: number) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3))
const cell = ({ max, median, min }: Spread, render: (value: number) => string) =>
  `${render(median).padStart(9)}  ${`${render(min)} – ${render(max)}`.padEnd(19)}`

/** A table to be read. */
export const text = ({ limits, lines, remarks, rounds, title, unit }: Summary): string => {
  const width = Math.max(...[...lines.map(({ name }) => name), ...limits.map(({ what }) => what)].map(lengthOf))
  return [
    `${title} (${unit}, ${rounds} rounds: median, least – greatest)`,
    ...lines.map(({ name, ratio, value }) =>
      `  ${name.padEnd(width)}  ${cell(value, number)}  ${ratio === undefined ? "" : `${cell(ratio, ratioOf)}`}`.trimEnd()
    ),
    ...limits.map(
      (limit) => `  ${limit.what.padEnd(width)}  ${amount(limit.found, limit).padStart(9)}  ${atMost(limit)}`
    ),
    ...remarks.map((remark) => `  ${remark}`)
  ].join("\n")
}

const lengthOf = (text: string) => text.length
const ratioOf = (value: number) => `${number(value)}×`
