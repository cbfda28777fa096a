/**
 * Prints the tools of a server at first, and again whenever they may be others, whatever becomes of the server:
 * `node src/changes/tools.ts http://127.0.0.1:3001/mcp`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Backend } from "@vmcp-keepalive/core"
import { HttpConnector } from "@vmcp-keepalive/transport-http/sdk2"
import { Console, Effect, Stream } from "effect"
import { url } from "../chat.ts"

const program = Effect.gen(function* () {
  const backend = yield* Backend.make({ id: "watched", connector: HttpConnector.make({ url }) })
  const print = backend
    .use((client, signal) => client.listTools(undefined, { signal }))
    .pipe(
      Effect.flatMap(({ tools }) => Console.log(tools.map(({ name }) => name).join(", "))),
      // the next session is a reason to read them as well
      Effect.catch((error) => Console.error(error.message))
    )
  yield* backend.listen({ tools: true }, { initially: true }).pipe(Stream.runForEach(() => print))
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
