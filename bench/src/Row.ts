/**
 * A row: one question, asked of several contestants in the same run, because figures of different runs and machines do
 * not compare. A new peer is a contestant of a row that exists; a new question is a module in `rows/` and its entry in
 * `main.ts`.
 */
import type { Effect, Scope } from "effect"

export type Unit = "ns" | "µs" | "ms" | "B" | "descriptors" | "backends" | "a second"

/** One who is measured. */
export interface Contestant<Value = number> {
  readonly name: string
  /** One round: what was measured, in the unit of the row. */
  readonly round: () => Promise<Value>
}

/** One who was measured: values by round. */
export interface Result<Value = number> {
  readonly name: string
  readonly rounds: ReadonlyArray<Value>
}

export interface Row {
  /** names it on the command line; what stands before a hyphen names all that begin with it */
  readonly name: string
  /** what is measured, for a reader */
  readonly title: string
  readonly unit: Unit
  /** Sets the contestants up; the first is what the others are compared with. */
  readonly run: Effect.Effect<Measured, unknown, Scope.Scope>
}

/** What came of a row. */
export interface Measured {
  readonly contestants: ReadonlyArray<Result>
  /** what else was measured of the same contestants in the same rounds; default: nothing */
  readonly also?: ReadonlyArray<Quantity>
  /** what has to hold on every machine; default: nothing */
  readonly limits?: ReadonlyArray<Limit>
  /** what else there is to say, a line each; default: nothing */
  readonly remarks?: ReadonlyArray<string>
}

/** A further thing that was measured. */
export interface Quantity {
  readonly title: string
  readonly unit: Unit
  readonly contestants: ReadonlyArray<Result>
}

/** A figure that may not be greater: where it is, the bench fails. */
export interface Limit {
  readonly what: string
  readonly found: number
  readonly most: number
  /** `×`: a ratio; default: a plain count */
  readonly unit?: Unit | "×"
  /** why `most` is what it is */
  readonly because: string
}
