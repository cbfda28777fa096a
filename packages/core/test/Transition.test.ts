import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Table from "./support/table.ts"

describe("the table, exhaustively", () => {
  it("answers every signal in every state that can be reached, and keeps every promise", () => {
    let worlds = 0
    let steps = 0
    for (const rules of Table.everyRules) {
      const explored = Table.explore(rules)
      worlds += explored.worlds
      steps += explored.steps
      assert.strictEqual(explored.broken.join("\n\n"), "")
    }
    console.log(`${worlds} worlds, ${steps} steps`)
    assert.isAbove(worlds, 1000)
  }, 120_000)
})
