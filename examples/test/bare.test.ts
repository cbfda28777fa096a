/**
 * The same rows without this library, as the frameworks' own documentation has it: what `kept.test.ts` shows is not there by itself.
 */
import { assert } from "vitest"
import { type Cell, matrix, type Played } from "./support/matrix.ts"

const survives = ({ fault }: Cell, { after, during }: Played): boolean =>
  after._tag === "Answered" && (fault.during === "Answered" ? during._tag === "Answered" : during._tag !== "Hanging")

/**
 * Mastra opens a new connection when the text of an error looks like a lost one, and makes the call again: so it recovers from
 * deaths, and where the server is back in time for that it executes calls twice.
 */
const mastra: Readonly<Record<string, "recovers" | "recovers, and may execute the call twice">> = {
  "killed while idle, http": "recovers",
  "killed while idle, stdio": "recovers",
  "circuit open, http": "recovers",
  "circuit open, stdio": "recovers",
  "killed in a call, stdio": "recovers, and may execute the call twice"
}

const expectation = ({ fault, framework, wire }: Cell) =>
  (framework.name === "Mastra" ? mastra[`${fault.name}, ${wire}`] : undefined) ?? "does not survive it"

matrix("bare", expectation, (cell, played) => {
  const seen = JSON.stringify(played)
  switch (expectation(cell)) {
    case "does not survive it":
      return assert.isFalse(survives(cell, played), seen)
    case "recovers":
      return assert.deepStrictEqual([played.after._tag, played.doubled.length], ["Answered", 0], seen)
    case "recovers, and may execute the call twice":
      // which of both is a race between the framework and the server
      return assert.strictEqual(played.after._tag, "Answered", seen)
  }
})
