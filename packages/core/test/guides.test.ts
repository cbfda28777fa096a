/** The guides name what there is: nothing is left out, and nothing is in them that has gone. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { BackendError, FailureReason, KeepalivePolicy } from "../src/index.ts"

/** The names in the first column of a guide's tables, below a heading of that column. */
const named = (guide: string, heading: string) => {
  const text = readFileSync(new URL(`../../../docs/guides/${guide}.md`, import.meta.url), "utf8")
  const table = text.split("\n\n").find((part) => part.startsWith(`| ${heading} |`)) ?? ""
  return table
    .split("\n")
    .slice(2)
    .flatMap((line) => /^\| `(\w+)`/.exec(line)?.[1] ?? [])
    .toSorted()
}

describe("the guide", () => {
  it("to the policy has every setting", () => {
    assert.deepStrictEqual(
      named("policy", "setting"),
      Object.keys(KeepalivePolicy.FileOptions.fields).concat("cadence").toSorted()
    )
  })

  it("to errors has every error and every reason", () => {
    const errors = BackendError.BackendError.members.flatMap((member) =>
      "identifier" in member ? [member.identifier] : member.members.map(({ identifier }) => identifier)
    )
    assert.deepStrictEqual(named("errors", "error"), errors.toSorted())
    assert.deepStrictEqual(named("errors", "reason"), [...FailureReason.all].toSorted())
  })
})
