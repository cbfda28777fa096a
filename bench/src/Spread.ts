/** Values of several rounds, as three of them. */
export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/** NaN three times where there are none. */
export const of = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return { min: at(0), median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, max: at(sorted.length - 1) }
}

/** Of the values of one beside those of another, round by round: what disturbed a round disturbed both. */
export const ratio = (values: ReadonlyArray<number>, base: ReadonlyArray<number>): Spread =>
  of(values.map((value, round) => value / (base[round] ?? Number.NaN)))

/** The value below which that many of a hundred are; NaN where there are none. */
export const percentile = (values: ReadonlyArray<number>, percent: number): number =>
  values.toSorted((left, right) => left - right)[Math.floor((values.length * percent) / 100)] ?? Number.NaN
