/** Loaded before a replica: gives it the engine as it is, which sends a request again when the process that had it is gone. */
import { registerHooks } from "node:module"

const plain = new URL("./plainRunners.ts", import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith("/once/AtMostOnce.ts") ? { url: plain, shortCircuit: true } : next(specifier, context)
})
