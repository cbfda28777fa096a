/** One process of a cluster, until it is told to end: what it is comes as JSON. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import * as Clustered from "../Clustered.ts"

const options: Clustered.Options = JSON.parse(process.argv[2] ?? "{}")

Layer.effectDiscard(Effect.sync(() => console.log(JSON.stringify({ address: options.address })))).pipe(
  Layer.provide(Clustered.layer(options)),
  Layer.launch,
  NodeRuntime.runMain
)
