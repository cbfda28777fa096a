/**
 * The same rows without this library, as the frameworks' own documentation has it: what `kept.test.ts` shows is not there by itself.
 */
import { assert } from "vitest"
import { type Cell, matrix, type Played } from "./support/matrix.ts"
import { isAnswered } from "./support/row.ts"

const survives = ({ fault }: Cell, { after, doubled, during }: Played): boolean =>
  isAnswered(after) && (fault.during === "Answered" ? isAnswered(during) : during._tag !== "Hanging") && doubled.length === 0

matrix(
  "bare",
  () => "does not survive it",
  (cell, played) => {
    console.log(JSON.stringify([cell.fault.name, cell.wire, cell.framework.name, survives(cell, played), played.during, played.after, played.told, played.doubled]))
    assert.isFalse(survives(cell, played), JSON.stringify(played))
  }
)
