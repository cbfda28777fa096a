/**
 * What is lost when processes or their storage go, and for how long. The bounds are those that are promised, with what a busy machine takes beside them;
 * `bench cluster-failover` prints the figures.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { storages } from "../support/storage.ts"
import * as Measure from "./measure.ts"
import { shared } from "../support/shared.ts"

/** What a machine that does other things takes beside what is measured. */
const busy = 1500

for (const { missing, name, storage } of storages)
  describe.skipIf(missing !== undefined)(
    `failover with ${name}${missing === undefined ? "" : ` (${missing})`}`,
    { timeout: 120_000 },
    () => {
      const quickly = shared(storage)
      const patiently = shared(storage)
      const quick = () => ({ storage: quickly(), lease: 4000 })
      const patient = () => ({ storage: patiently(), lease: 15_000 })

      it.live(
        "tells a call in flight at once that its process was killed, and serves again within the lease and a second",
        () =>
          Effect.gen(function* () {
            const { calls, servedAgain, toldWithin, unknown, waited } = yield* Measure.killed(quick())
            assert.isAbove(calls, 0)
            assert.deepStrictEqual([unknown, waited], [calls, calls])
            assert.isBelow(toldWithin, 200 + busy)
            assert.isBelow(servedAgain, 5000 + busy)
          })
      )

      it.live("fails no call where a process ends in order, and does not wait for its lease", () =>
        Effect.gen(function* () {
          const { calls, failed, takenOver } = yield* Measure.ended(patient())
          assert.isAbove(calls, 0)
          assert.strictEqual(failed, 0)
          assert.isBelow(takenOver, 1000 + busy)
        })
      )

      it.live(
        "lets a process that was frozen do nothing beside the next owner, not even the calls that it was asked for meanwhile",
        () =>
          Effect.gen(function* () {
            const { actedAtOnce, answered, calls, executed, queued, takenOver, toldWithin, unknown } =
              yield* Measure.frozen({ ...quick(), seconds: 10 })
            assert.deepStrictEqual(actedAtOnce, [])
            assert.isAbove(calls, 0)
            assert.strictEqual(unknown, calls)
            assert.deepStrictEqual([answered, executed], [queued, queued])
            // as soon as it has left, and may no longer answer what it has begun
            assert.isBelow(toldWithin, 4000 + 2000 + 1000 + busy)
            assert.isBelow(takenOver, 5000 + busy)
          })
      )

      it.live("lets a process that was frozen in the midst of calls send none of those that were on their way", () =>
        Effect.gen(function* () {
          const { actedAtOnce, calls, takenOver, twice } = yield* Measure.frozenUnderCalls({ ...quick(), seconds: 8 })
          assert.deepStrictEqual({ actedAtOnce, twice }, { actedAtOnce: [], twice: [] })
          assert.isAbove(calls, 100)
          assert.isBelow(takenOver, 5000 + busy)
        })
      )

      it.live("closes no session and fails no call while the storage is away for 8 seconds of a lease of 15", () =>
        Effect.gen(function* () {
          const { calls, closed, failed, opened } = yield* Measure.withoutStorage({ ...patient(), seconds: 8 })
          assert.isAbove(calls, 100)
          assert.deepStrictEqual([failed, closed, opened], [0, 0, 0])
        })
      )

      it.live("cancels at the server what a killed process has called, and keeps the session", () =>
        Effect.gen(function* () {
          const { calls, cancelledWithin, ended, opened } = yield* Measure.callerKilled(quick())
          assert.isAbove(calls, 0)
          assert.isBelow(cancelledWithin, 500 + busy)
          assert.deepStrictEqual([ended, opened], [0, 0])
        })
      )
    }
  )
