/** In place of `AtMostOnce`: the engine's own. */
import { Runners } from "effect/cluster"

export const layer = () => Runners.layerRpc
