import { assert, it } from "@effect/vitest"
import { readFileSync, writeFileSync } from "node:fs"
import { draw } from "./support/diagram.ts"

const file = new URL("../../../ARCHITECTURE.md", import.meta.url)
const begin = "<!-- state diagram: begin -->"
const end = "<!-- state diagram: end -->"

it("the state diagram in ARCHITECTURE.md is the one that the table draws", () => {
  const text = readFileSync(file, "utf8")
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  assert.isDefined(after, "the markers are in the file")
  const drawn = `${before}${begin}\n\`\`\`mermaid\n${draw()}\n\`\`\`\n${end}${after}`
  if (process.env["UPDATE_DIAGRAM"] !== undefined) writeFileSync(file, drawn)
  assert.strictEqual(readFileSync(file, "utf8"), drawn, "run this test with UPDATE_DIAGRAM=1 and read what changed")
}, 60_000)
