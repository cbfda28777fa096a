/** What a server of the modern era, or what stands before it, may say at first to the question for its era: none of it is a verdict. */
import { assert, describe } from "@effect/vitest"
import { Fault, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { only, path } from "../backend/support.ts"
import { keep } from "../sdk2/support.ts"
import { leavingNothing } from "./leavingNothing.ts"

const on = { rpc: "server/discover" }
/** Of a proxy's. */
const html = { headers: { "content-type": "text/html" }, body: "<html>not now</html>" }
const later = { headers: { "retry-after": "1" } }

/** What is said, and how often. */
const answers = {
  // what servers of the legacy era say as well: it is asked about again within the attempt, or in the next
  ...Object.fromEntries(
    [400, 404, 405, 422].map((status) => [status, Fault.Answer({ status, ...html, on, times: 1 })])
  ),
  "400 to whatever it is asked": Fault.Answer({ status: 400, ...html, times: 3 }),
  "404 to whatever it is asked": Fault.Answer({ status: 404, ...html, times: 3 }),
  ...Object.fromEntries(
    [408, 425, 500, 502, 503].map((status) => [status, Fault.Answer({ status, ...html, on, times: 3 })])
  ),
  "429 with Retry-After": Fault.Answer({ status: 429, ...later, on, times: 2 }),
  "503 with Retry-After": Fault.Answer({ status: 503, ...later, on, times: 2 }),
  "a reset connection": Fault.Reset({ on, times: 3 }),
  "a cut answer": Fault.CutMidChunk({ on, times: 3 })
}

describe("a server that answers the question for its era at first with", { timeout: 60_000 }, () => {
  const row = leavingNothing()

  for (const [name, fault] of Object.entries(answers))
    for (const era of ["dual", "modern"] as const)
      row(`${name} is modern all the same: ${era}`, () =>
        Effect.gen(function* () {
          const server = yield* McpServers.sdk2({ era })
          const kept = yield* keep(server, {
            policy: { circuit: "none", waitForSession: "20 seconds" },
            await: false,
            before: (proxy) => proxy.inject(fault)
          })
          assert.strictEqual(yield* kept.era, "modern")
          assert.strictEqual((yield* server.executions).length, 1)
          // no caller could have had another session
          assert.deepStrictEqual(
            path(kept.events).filter((state) => state === "Connected"),
            ["Connected"]
          )
          const said = yield* kept.proxy.marks
          assert.strictEqual(said.length, "times" in fault ? fault.times : 0)
          const failed = only(kept.events, "AttemptFailed")
          assert.isAtLeast(failed.length, 1)
          if (!name.includes("Retry-After")) return
          assert.deepStrictEqual(
            failed.map(({ reason }) => reason),
            ["busy", "busy"]
          )
          const questions = (yield* kept.proxy.requests).filter(({ rpcMethod }) => rpcMethod === on.rpc)
          for (const [index, { at }] of said.entries())
            assert.isTrue(questions.slice(index + 1).every((question) => question.at - at > 990))
        })
      )
})
