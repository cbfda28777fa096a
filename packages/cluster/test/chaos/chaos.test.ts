/**
 * Chaos: whatever dies, ends, freezes or comes back, no call is made twice, none is told that it was not executed where it was, every one is settled,
 * with an answer or one of the errors that callers know, and no two processes act for one backend at once, but for a write that was due when its process was frozen. The servers' own counts are the truth.
 *
 * `CHAOS_MINUTES` (2, of all storages that there are) and `CHAOS_SEED` make it longer, and other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { storages } from "../support/storage.ts"
import { chaos } from "./chaos.ts"

const present = storages.filter(({ missing }) => missing === undefined).length
const seconds = (Number(process.env["CHAOS_MINUTES"] ?? 2) * 60) / present
const seed = process.env["CHAOS_SEED"] ?? "2026"
/** beside the chaos itself: processes that start and end, and calls that settle, on a slow machine */
const around = 180_000

const plain = ["--import", fileURLToPath(new URL("../programs/plain.ts", import.meta.url))]

for (const { missing, name, storage } of storages)
  describe(`chaos on ${name}`, () => {
    it.live.skipIf(missing !== undefined)(
      `doubles no call, denies none that was executed, settles every one${missing === undefined ? "" : ` (${missing})`}`,
      () =>
        Effect.gen(function* () {
          const report = yield* chaos({ storage: yield* storage, seconds, seed })
          const { did, frozenBeforeTheWrite, log, told, ...wrong } = report
          console.log(`chaos on ${name}, seed ${seed}:`, JSON.stringify({ did, told, frozenBeforeTheWrite }))
          assert.deepStrictEqual(
            wrong,
            {
              twice: [],
              deniedButDone: [],
              doneButNot: [],
              unsettled: [],
              notEnded: [],
              unexpected: [],
              actedAtOnce: []
            },
            log.join("\n")
          )
          // that there was something to get wrong
          assert.hasAllKeys(did, ["SIGKILL", "SIGTERM", "SIGSTOP 10 s", "SIGSTOP 20 s", "storage restart", "join"])
          assert.isAbove(told["ok"] ?? 0, 300)
          assert.isAbove(told["OutcomeUnknown"] ?? 0, 0)
        }),
      seconds * 1000 + around
    )
  })

describe("the engine as it is", () => {
  it.live(
    "makes calls twice in the same chaos",
    () =>
      Effect.gen(function* () {
        const { twice } = yield* chaos({
          storage: yield* storages[0]!.storage,
          seconds: 30,
          seed,
          node: plain,
          troubles: ["SIGKILL", "join"]
        })
        assert.isAbove(twice.length, 0)
      }),
    30_000 + around
  )
})
