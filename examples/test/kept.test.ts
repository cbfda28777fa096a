/** Every framework through every fault, on a kept connection. */
import { assert } from "vitest"
import { type Cell, matrix, type Played } from "./support/matrix.ts"
import type { Outcome } from "./support/row.ts"

const isAsPromised = ({ fault, framework }: Cell, outcome: Outcome): void => {
  if (fault.during === "Answered") return assert.deepInclude(outcome, { _tag: "Answered", text: "Echo: during" })
  if (outcome._tag !== "Failed") assert.fail(JSON.stringify(outcome))
  const executed = fault.during === "OutcomeUnknown" ? "unknown" : "no"
  if (framework.shows === "data") assert.deepInclude(outcome.data, { error: fault.during, executed })
  else assert.include(outcome.text, executed === "unknown" ? "whether it was executed is unknown" : "the call was not executed")
}

matrix(
  "kept",
  ({ fault }) =>
    fault.during === "Answered"
      ? "its client sees nothing"
      : `its client sees ${fault.during} to the one call, and nothing else`,
  (cell: Cell, { after, doubled, during, told }: Played) => {
    isAsPromised(cell, during)
    assert.deepInclude(after, { _tag: "Answered", text: "Echo: after" })
    assert.deepStrictEqual(told, { closes: 0, errors: [] })
    assert.deepStrictEqual(doubled, [])
  }
)
