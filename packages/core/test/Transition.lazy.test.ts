/** The table, exhaustively, of backends that connect for the first call. In files of their own, which run side by side. */
import { assert, describe, it } from "@effect/vitest"
import { everyRules, explore } from "./support/table.ts"

describe("the table answers every signal in every state that can be reached, and keeps every promise", () => {
  for (const given of everyRules.filter(({ connect }) => connect === "lazy")) {
    it(`of ${given.failureThreshold} probes and ${given.circuitFailures} attempts that may fail`, () => {
      const { broken, steps, worlds } = explore(given)
      assert.strictEqual(broken.join("\n\n"), "")
      assert.isAbove(worlds, 10_000)
      assert.isAbove(steps, 500_000)
    }, 180_000)
  }
})
