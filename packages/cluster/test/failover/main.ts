/** Measures each failover once, on the storage that is named (`pglite`, `postgres`), and prints what it took as JSON. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, type Scope } from "effect"
import { pglite, postgres } from "../support/storage.ts"
import * as Measure from "./measure.ts"

const measured = Effect.gen(function* () {
  const storage = yield* process.argv[2] === "postgres" ? postgres : pglite
  const quick = { storage, lease: 4000 }
  const all: { readonly [name: string]: Effect.Effect<object, string, Scope.Scope> } = {
    killed: Measure.killed(quick),
    ended: Measure.ended(quick),
    "ended, lease 15 s": Measure.ended({ storage, lease: 15_000 }),
    "frozen for 10 s": Measure.frozen({ ...quick, seconds: 10 }),
    "storage away for 8 s, lease 15 s": Measure.withoutStorage({ storage, lease: 15_000, seconds: 8 }),
    "caller killed": Measure.callerKilled(quick)
  }
  for (const [name, measure] of Object.entries(all))
    yield* Console.log(JSON.stringify({ name, ...(yield* Effect.scoped(measure)) }))
})

NodeRuntime.runMain(Effect.scoped(measured))
