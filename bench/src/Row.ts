/**
 * A row: one question, asked of several contestants in the same run, because figures of different runs and machines do
 * not compare. A new peer is a contestant of a row that exists; a new question is a module in `rows/` and its entry in
 * `main.ts`.
 */
import type { Effect, Scope } from "effect"

/** One who is measured. */
export interface Contestant {
  readonly name: string
  /** One round: what was measured, in the unit of the row. */
  readonly round: () => Promise<number>
}

export interface Row {
  /** names it on the command line */
  readonly name: string
  /** what is measured, for a reader */
  readonly title: string
  readonly unit: "ns" | "µs" | "ms" | "B"
  /** Sets the contestants up; the first is what the others are compared with. */
  readonly run: Effect.Effect<Measured, unknown, Scope.Scope>
}

/** What came of a row. */
export interface Measured {
  /** values by round, for each contestant */
  readonly contestants: ReadonlyArray<{ readonly name: string; readonly rounds: ReadonlyArray<number> }>
  /** what has to hold on every machine; default: nothing */
  readonly limits?: ReadonlyArray<Limit>
  /** what else there is to say, a line each; default: nothing */
  readonly remarks?: ReadonlyArray<string>
}

/** A figure that may not be greater: where it is, the bench fails. */
export interface Limit {
  readonly what: string
  readonly found: number
  readonly most: number
  /** default: a plain count */
  readonly unit?: Row["unit"]
  /** why `most` is what it is */
  readonly because: string
}
