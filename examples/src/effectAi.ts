/** Effect AI: `McpClient` on a kept transport, and a toolkit that follows the server's list of tools. */
import { KeptMcpClient, KeptToolkit } from "@vmcp-keepalive/host/effect-ai"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Effect } from "effect"
import { LanguageModel } from "effect/ai"
import { chat, url } from "./chat.ts"
import { model } from "./models/effectAi.ts"

// This one line, in place of `McpClient.layerHttp`:
const client = KeptMcpClient.layer({
  id: "everything",
  connector: HttpPeerConnector.make({ url }),
  name: "my-agent",
  version: "1.0.0"
})

const turn = (toolkit: KeptToolkit.KeptToolkit, line: string) =>
  Effect.gen(function* () {
    const asked = yield* LanguageModel.generateText({ prompt: line, toolkit })
    return asked.toolResults.map(({ result }) => String(result)).join("")
  })

const program = Effect.gen(function* () {
  const toolkit = yield* KeptToolkit.make(yield* KeptMcpClient.KeptMcpClient)
  const run = Effect.runPromiseWith(yield* Effect.context<LanguageModel.LanguageModel>())
  yield* Effect.promise(() => chat((line) => run(turn(toolkit, line))))
})

await Effect.runPromise(program.pipe(Effect.provide([client, model]), Effect.scoped))
