/** Every framework through every fault, on a kept connection. */
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { afterAll, assert } from "vitest"
import type { Outcome } from "./support/hosts.ts"
import { type Cell, matrix, type Played } from "./support/matrix.ts"

const leftovers = await Effect.runPromise(Leftovers.make({ within: "10 seconds" }))
afterAll(() => Effect.runPromise(leftovers.check))

const isEcho = (outcome: Outcome, { framework }: Cell, message: string): void =>
  assert.deepStrictEqual(outcome, { _tag: "Answered", text: `Echo: ${framework.name} ${message}` })

const isAsPromised = (outcome: Outcome, cell: Cell): void => {
  const { fault, framework } = cell
  if (fault.during === "Answered") return isEcho(outcome, cell, "during")
  if (outcome._tag !== "Failed") return assert.fail(JSON.stringify(outcome))
  const executed = fault.during === "OutcomeUnknown" ? "unknown" : "no"
  const words = executed === "unknown" ? "whether it was executed is unknown" : "the call was not executed"
  assert.include(outcome.text, words)
  if (framework.shows === "data") assert.deepInclude(outcome.data, { error: fault.during, executed })
}

matrix(
  "kept",
  ({ fault }) => (fault.during === "Answered" ? "sees nothing" : `the one call is ${fault.during}, and nothing else`),
  (cell: Cell, { after, doubled, during, told }: Played) => {
    isAsPromised(during, cell)
    isEcho(after, cell, "after")
    assert.deepInclude(told, { closes: 0, errors: [] })
    // Some open a new connection when they read certain words in an error, and make the call again: they did not.
    assert.isAtMost(told?.initializations ?? 0, 1)
    assert.deepStrictEqual(told?.calls, [...new Set(told?.calls)])
    assert.deepStrictEqual(doubled, [])
  }
)
