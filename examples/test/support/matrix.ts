/** Frameworks × faults × wires: each cell plays a row, beside others. */
import { Effect } from "effect"
import { describe, it } from "vitest"
import { type Fault, faults, type Seen } from "./faults.ts"
import type { Framework, Told } from "./framework.ts"
import { frameworks } from "./frameworks.ts"
import * as Row from "./row.ts"
import * as Stage from "./stage.ts"

/** How a row went. */
export interface Played extends Seen {
  readonly told: ReturnType<Told["now"]> | undefined
  /** what the servers have executed more than once: each call of a row has arguments of its own */
  readonly doubled: ReadonlyArray<string>
}

export interface Cell {
  readonly framework: Framework
  readonly fault: Fault
  readonly wire: Stage.Wire
}

const play = (way: "kept" | "bare", { fault, framework, wire }: Cell): Promise<Played> =>
  Effect.gen(function* () {
    const stage = yield* Stage.make(wire, fault.staleSession)
    const row = Row.make(framework, way, stage, fault.policy)
    const seen = yield* fault.play(row).pipe(
      // What cannot connect cannot call.
      Effect.catch((connecting) => Effect.succeed<Seen>({ during: connecting, after: connecting }))
    )
    const executions = (yield* stage.executions).map((execution) => JSON.stringify(execution))
    const doubled = executions.filter((execution, index) => executions.indexOf(execution) < index)
    return { ...seen, told: row.told(), doubled }
  }).pipe(Effect.scoped, Effect.runPromise)

/** A test for each cell, all of them beside each other as far as `maxConcurrency` goes. */
export const matrix = (
  way: "kept" | "bare",
  promise: (cell: Cell) => string,
  check: (cell: Cell, played: Played) => void
): void => {
  describe.concurrent.each([...faults])("$name", (fault) => {
    describe.each([...fault.wires])("over %s", (wire) => {
      for (const framework of frameworks) {
        const cell = { framework, fault, wire }
        it(`${framework.name}: ${promise(cell)}`, async () => check(cell, await play(way, cell)))
      }
    })
  })
}
