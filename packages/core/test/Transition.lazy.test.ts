/** The table, exhaustively, of backends that connect for the first call. In files of their own, which run side by side. */
import { assert, describe, it } from "@effect/vitest"
import { everyKind, explore } from "./support/table.ts"

describe("the table answers every signal in every state that can be reached, and keeps every promise", () => {
  for (const kind of everyKind.filter(({ rules }) => rules.connect === "lazy")) {
    it(`of ${kind.rules.failureThreshold} probes and ${kind.rules.circuitFailures} attempts that may fail, probed ${kind.attentions.join(" or ")}`, () => {
      const { broken, steps, worlds } = explore(kind)
      assert.strictEqual(broken.join("\n\n"), "")
      assert.isAbove(worlds, 10_000)
      assert.isAbove(steps, 500_000)
    }, 180_000)
  }
})
