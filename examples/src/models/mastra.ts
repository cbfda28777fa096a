/** In place of a real model: has the tool `echo` repeat what it was asked, and says what that has answered. */
import type { MastraModelConfig } from "@mastra/core/llm"
import { textIn } from "./textIn.ts"

type Model = Extract<MastraModelConfig, { readonly specificationVersion: "v2" }>

/** Mastra puts the name of the server before that of the tool. */
const toolName = "everything_echo"
const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }

export const model: Model = {
  specificationVersion: "v2",
  provider: "example",
  modelId: "echoing",
  supportedUrls: {},
  doGenerate: async ({ prompt }) => {
    const last = prompt.at(-1)
    const text = textIn(last)
    return last?.role === "tool"
      ? { content: [{ type: "text", text }], finishReason: "stop", usage, warnings: [] }
      : {
          content: [{ type: "tool-call", toolCallId: "1", toolName, input: JSON.stringify({ message: text }) }],
          finishReason: "tool-calls",
          usage,
          warnings: []
        }
  },
  doStream: () => Promise.reject(new Error("This example does not stream"))
}
