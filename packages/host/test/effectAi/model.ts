/** A language model that says what a test has written. */
import { Effect, Stream } from "effect"
import { LanguageModel, type Response, Tool } from "effect/ai"

/** What the model is offered, and what it says: calls of tools, or text. */
export interface Turn {
  readonly tools: ReadonlyArray<{ readonly name: string; readonly parameters: unknown }>
}

export type Said = { readonly tool: string; readonly params: unknown } | string

/** A model whose turns are those, in order, each said when it is known; `turns` has what it was offered in each. */
export const make = (...script: ReadonlyArray<Said | Effect.Effect<Said>>) =>
  Effect.gen(function* () {
    const turns: Array<Turn> = []
    const model = yield* LanguageModel.make({
      generateText: Effect.fnUntraced(function* ({ tools }) {
        const next = script[turns.length] ?? "nothing more to say"
        turns.push({ tools: tools.map((tool) => ({ name: tool.name, parameters: Tool.getJsonSchema(tool) })) })
        const said = Effect.isEffect(next) ? yield* next : next
        return typeof said === "string"
          ? [{ type: "text", text: said }, finish("stop")]
          : [
              { type: "tool-call", id: `call-${turns.length}`, name: said.tool, params: said.params },
              finish("tool-calls")
            ]
      }),
      streamText: () => Stream.empty
    })
    return { model, turns }
  })

const finish = (reason: "stop" | "tool-calls"): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 }
  }
})
