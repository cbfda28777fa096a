/**
 * The same rows without this library, as the frameworks' own documentation has it: what `kept.test.ts` shows is not there by itself.
 */
import { assert } from "vitest"
import { type Cell, matrix, type Played } from "./support/matrix.ts"

const survives = ({ fault }: Cell, { after, during }: Played): boolean =>
  after._tag === "Answered" && (fault.during === "Answered" ? during._tag === "Answered" : during._tag !== "Hanging")

matrix(
  "bare",
  () => "does not survive it",
  (cell, played) => {
    console.log(JSON.stringify([cell.fault.name, cell.wire, cell.framework.name, survives(cell, played), played]))
    assert.isFalse(survives(cell, played), JSON.stringify(played))
  }
)
