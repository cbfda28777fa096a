/** In place of a real model: has the tool `echo` repeat what it was asked, and says what that has answered. */
import { MockLanguageModelV4 } from "ai/test"
import { textIn } from "./textIn.ts"

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}

export const model = new MockLanguageModelV4({
  doGenerate: async ({ prompt }) => {
    const last = prompt.at(-1)
    const text = textIn(last)
    return last?.role === "tool"
      ? {
          content: [{ type: "text", text }],
          finishReason: { unified: "stop", raw: undefined },
          usage,
          warnings: []
        }
      : {
          content: [{ type: "tool-call", toolCallId: "1", toolName: "echo", input: JSON.stringify({ message: text }) }],
          finishReason: { unified: "tool-calls", raw: undefined },
          usage,
          warnings: []
        }
  }
})
