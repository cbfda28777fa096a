/** `schema`: the JSON Schema of configuration files, for editors. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"

/** As the package `@vmcp-keepalive/config` has it, byte by byte. */
export const schema = Effect.fn(function* () {
  const files = yield* FileSystem.FileSystem
  const path = fileURLToPath(import.meta.resolve("@vmcp-keepalive/config/schema.json"))
  yield* Console.log((yield* Effect.orDie(files.readFileString(path))).trimEnd())
})
