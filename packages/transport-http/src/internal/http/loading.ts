/**
 * The senders that undici stands behind, loaded when the first session is opened that sends through one. An app that sends through a
 * `fetch` or a dispatcher of its own does without undici.
 */
import { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Bundled from "./bundled.ts"
import * as Failure from "./failure.ts"

/** Loads a module; fails with what kept it from being loaded, such as an undici that a bundle has left out. */
export const load = <Module>(load: () => Promise<Module>): Effect.Effect<Module, Evidence.Evidence> =>
  Effect.tryPromise({
    try: () => {
      Bundled.provideRequire()
      return load()
    },
    catch: (error) => {
      const { code } = Failure.of(error, "unsent")
      return Evidence.transportFailure("unknown", { summary: "undici cannot be loaded", output: [] }, code)
    }
  })

/** Connections of the session's own. */
export const connections = load(() => import("./connections.ts"))

/** Connections through a proxy. */
export const proxy = load(() => import("./proxy.ts"))
