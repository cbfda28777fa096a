/**
 * Lists of hostile servers, and the schemas in them. The tool `echo`, by which the backend is probed, is the first in
 * each list. What is promised:
 *
 * | the list of tools                             | probed by a tool: the backend | else                  |
 * |-----------------------------------------------|-------------------------------|-----------------------|
 * | pages without an end                          | Disconnected, overflow        | Connected, not known  |
 * | 20,000 tools in pages, 200,000 tools at once  | Disconnected, overflow        | Connected, not known  |
 * | 9,000 tools in 90 pages                       | Connected                     |                       |
 *
 * | a `pattern` in an output schema               | a call of that tool           | the backend           |
 * |-----------------------------------------------|-------------------------------|-----------------------|
 * | that backtracks for minutes on what it gets   | CallFailed: it does not fit    | Connected             |
 * | that is cheap                                 | answered, or CallFailed where the answer does not fit | Connected |
 *
 * And each time what `support.ts` says of the host.
 */
import { assert, describe } from "@effect/vitest"
import { promises, type Row } from "./support.ts"

/** As many pages as are read of a list. */
const pages = 100

const byTool = { method: "tool", tool: { name: "echo" } } as const

const probedByTool = (server: Row["server"]): Row => ({
  server,
  host: { probe: byTool, until: "Disconnected" },
  calls: {},
  state: "Disconnected overflow",
  also: (_, tally) => assert.isAtMost(tally.pages, pages)
})

const notKnown = (server: Row["server"]): Row => ({
  server,
  host: { calls: [{ tool: "echo" }], watch: 1500 },
  calls: { ok: 1 },
  state: "Connected",
  also: (_, tally) => assert.isAtMost(tally.pages, pages)
})

describe("a list of tools that is too long to know whether the probe's tool is in it fails the attempt", () => {
  promises({
    "pages without an end": probedByTool("cursors without an end"),
    "20,000 tools in pages": probedByTool("20,000 tools in pages"),
    "200,000 tools at once": probedByTool("200,000 tools")
  })
})

describe("a list of tools that is too long is not known, and does no other harm", () => {
  promises({
    "pages without an end": notKnown("cursors without an end"),
    "20,000 tools in pages": notKnown("20,000 tools in pages"),
    "200,000 tools at once": notKnown("200,000 tools")
  })
})

describe("a list of tools within the bounds", () => {
  promises({
    "is read to its end": {
      server: "9,000 tools in pages",
      host: { probe: byTool, watch: 1000 },
      calls: {},
      state: "Connected",
      also: (_, tally) => assert.isAtLeast(tally.pages, 90)
    }
  })
})

const matched = (server: Row["server"], message: string, outcome: string): Row => ({
  server,
  host: { listsTools: true, calls: [{ tool: "attack", messages: [message], characters: 0 }] },
  calls: { [outcome]: 1 },
  state: "Connected"
})

const backtracking = matched("pattern that backtracks", `${"a".repeat(40)}!`, "CallFailed")

describe("the pattern of an output schema", () => {
  promises({
    "that backtracks on the answer does not hold the host up": backtracking,
    "that would backtrack, on an answer that fits it, lets it through": matched(
      "pattern that backtracks",
      "aaaa",
      "ok"
    ),
    "that is cheap lets an answer through that fits it": matched("pattern that is cheap", "abc", "ok"),
    "that is cheap does not let an answer through that does not fit it": matched(
      "pattern that is cheap",
      "ABC",
      "CallFailed"
    )
  })
})
