/**
 * Requests of hostile servers, answers where nobody looks for them, and none at all. What is promised:
 *
 * | what the server does                                              | the calls                     | the backend  |
 * |-------------------------------------------------------------------|-------------------------------|--------------|
 * | pings, sampling or roots without an end, and takes no answer      |                               | Disconnected, overflow |
 * | more than 1,000 pings a second, and takes every answer            |                               | Disconnected, overflow |
 * | 20 requests at once within a call                                 | answered, and its requests too | Connected   |
 * | answers 300 calls on the standing stream and ends none of the POSTs | each gets its own answer     | Connected    |
 * | answers none of 3,000 calls                                       | at most 64 are sent; the probes pass meanwhile; all settle when the session is closed | Isolated |
 *
 * And each time what `support.ts` says of the host: above all, that it holds less than 100 descriptors.
 */
import { assert, describe } from "@effect/vitest"
import { promises, type Row } from "./support.ts"

const flooded = (server: Row["server"]): Row => ({
  server,
  host: { client: "answering", calls: [{ tool: "begin" }], until: "Disconnected" },
  calls: { ok: 1 },
  state: "Disconnected overflow"
})

describe("requests of the server's", () => {
  promises({
    "that flood us with pings end the session": flooded("ping flood"),
    "that flood us with sampling end the session": flooded("sampling flood"),
    "that flood us with roots end the session": flooded("roots flood"),
    "that are faster than 1,000 a second end the session": flooded("pings faster than 1,000 a second"),
    "are answered, 20 at once": {
      server: "20 requests at once",
      host: { client: "answering", calls: [{ tool: "attack", times: 5, inTurn: true, characters: 1 }] },
      calls: { ok: 5 },
      state: "Connected",
      also: (_, { answers }) => assert.strictEqual(answers, 100)
    }
  })
})

describe("300 calls that are answered on the standing stream", () => {
  promises({
    "each get their answer, and none keeps its connection": {
      server: "answers on another stream",
      host: { calls: [{ tool: "attack", times: 300 }] },
      calls: { ok: 300 },
      state: "Connected"
    }
  })
})

/** As many connections as a session may have. */
const connections = 64

describe("3,000 calls that are not answered", () => {
  promises({
    "do not keep a probe from its answer": {
      server: "no answers",
      host: { calls: [{ tool: "attack", times: 3000, deadline: 3000 }] },
      calls: { "given up": 3000 },
      state: "Connected",
      also: ({ events }, { pings }) => {
        assert.isAbove(pings, 1)
        assert.notInclude(events.join(), "ProbeFailed")
      }
    },
    "all settle when the session is closed, and only what was sent has an outcome that is not known": {
      server: "no answers",
      host: { calls: [{ tool: "attack", times: 3000 }], isolateAfter: 1500, until: "Isolated" },
      calls: (outcomes, { calls }) => {
        const { "CallRejected closed": rejected = 0, "OutcomeUnknown closed": unknown = 0, ...others } = outcomes
        assert.deepStrictEqual(others, {})
        assert.strictEqual(rejected + unknown, 3000)
        assert.isAtLeast(unknown, calls)
        assert.isAtMost(unknown, connections)
      },
      state: "Isolated"
    }
  })
})
