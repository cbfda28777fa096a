/** The example of the README: what stands between the two lines, as it stands. */
// README: from here
import { KeptMcpClient, KeptToolkit } from "@vmcp-keepalive/host/effect-ai"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Effect } from "effect"
import { LanguageModel } from "effect/ai"

const layerSearch = (url: string) =>
  KeptMcpClient.layer({ id: "search", connector: HttpPeerConnector.make({ url }), name: "my-agent", version: "1.0.0" })

const answer = Effect.fnUntraced(function* (questions: ReadonlyArray<string>) {
  const toolkit = yield* KeptToolkit.make(yield* KeptMcpClient.KeptMcpClient, { prefix: "search__" })
  return yield* Effect.forEach(questions, (prompt) =>
    // each turn has the tools that are there then
    LanguageModel.generateText({ prompt, toolkit }).pipe(
      Effect.catchTag("McpClientError", (error) =>
        KeptMcpClient.dataOf(error)?.executed === "unknown"
          ? Effect.succeed("The server went away in the midst of it: it may have been done, and is not done twice.")
          : Effect.fail(error)
      )
    )
  )
}, Effect.scoped)

export const agent = (url: string, questions: ReadonlyArray<string>) =>
  answer(questions).pipe(Effect.provide(layerSearch(url)))
// README: to here
