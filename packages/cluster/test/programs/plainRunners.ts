/** In place of `AtMostOnce`: nothing between the engine and the connections. */
import type { Duration } from "effect"
import { Layer } from "effect"
import { Runners, Snowflake } from "effect/cluster"
import * as Requests from "../../src/internal/engine/requests.ts"

export const layer = (grace: Duration.Duration) =>
  Layer.effect(Runners.Runners, Requests.make(grace)).pipe(Layer.provide(Snowflake.layerGenerator))
