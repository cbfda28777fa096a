/** Measures each failover once, or those that are named after it, on the storage that is named (`pglite`, `postgres`), and prints what it took as JSON. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, type Scope } from "effect"
import { pglite, postgres } from "../support/storage.ts"
import * as Measure from "../failover/measure.ts"

const measured = Effect.gen(function* () {
  const [kind, ...names] = process.argv.slice(2)
  const storage = kind === "postgres" ? postgres : pglite
  const quick = { storage: yield* storage, lease: 4000, shards: 300 }
  const patient = { storage: yield* storage, lease: 15_000, shards: 300 }
  const all: { readonly [name: string]: Effect.Effect<object, string, Scope.Scope> } = {
    killed: Measure.killed(quick),
    ended: Measure.ended(quick),
    "ended, lease 15 s": Measure.ended(patient),
    "frozen for 10 s": Measure.frozen({ ...quick, seconds: 10 }),
    "storage away for 8 s, lease 15 s": Measure.withoutStorage({ ...patient, seconds: 8 }),
    "caller killed": Measure.callerKilled(quick)
  }
  for (const [name, measure] of Object.entries(all))
    if (names.length === 0 || names.includes(name))
      yield* Console.log(JSON.stringify({ name, ...(yield* Effect.scoped(measure)) }))
})

NodeRuntime.runMain(Effect.scoped(measured))
