/** The example of the README: what stands between the two lines, as it stands. */
// README: from here
import { KeptMcpClient, KeptToolkit } from "@vmcp-keepalive/host/effect-ai"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Effect } from "effect"
import { LanguageModel } from "effect/ai"

const layerSearch = (url: string) =>
  KeptMcpClient.layer({ id: "search", connector: HttpPeerConnector.make({ url }), name: "my-agent", version: "1.0.0" })

const answer = Effect.fnUntraced(function* (questions: ReadonlyArray<string>) {
  const client = yield* KeptMcpClient.KeptMcpClient
  // the model is told of a call that fails, and goes on
  const toolkit = yield* KeptToolkit.make(client, { prefix: "search__", failureMode: "return" })
  // each turn has the tools that are there then
  return yield* Effect.forEach(questions, (prompt) => LanguageModel.generateText({ prompt, toolkit }))
}, Effect.scoped)

export const agent = (url: string, questions: ReadonlyArray<string>) =>
  answer(questions).pipe(Effect.provide(layerSearch(url)))
// README: to here
