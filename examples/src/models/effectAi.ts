/** In place of a real model: has the tool `echo` repeat what it was asked, and says what that has answered. */
import { Effect, Layer, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"

const finish = (reason: Response.FinishReason): Response.PartEncoded => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 }
  }
})

export const model = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: ({ prompt }) =>
      Effect.sync(() => {
        const last = prompt.content.at(-1)
        if (last?.role === "tool") {
          const [part] = last.content
          const text = part?.type === "tool-result" ? String(part.result) : ""
          return [{ type: "text", text }, finish("stop")]
        }
        const message =
          last?.role === "user" ? last.content.map((part) => (part.type === "text" ? part.text : "")).join("") : ""
        return [{ type: "tool-call", id: "1", name: "echo", params: { message } }, finish("tool-calls")]
      }),
    streamText: () => Stream.empty
  })
)
