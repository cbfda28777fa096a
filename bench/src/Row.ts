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

/** What came of a row: values by round, for each contestant. */
export type Measured = ReadonlyArray<{ readonly name: string; readonly rounds: ReadonlyArray<number> }>
