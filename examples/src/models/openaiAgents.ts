/** In place of a real model: has the tool `echo` repeat what it was asked, and says what that has answered. */
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing"
import { textIn } from "./textIn.ts"

/** Good for the two answers of one turn. */
export const model = (line: string): ScriptedModel =>
  new ScriptedModel([
    [functionCall("echo", { message: line }, { callId: "1" })],
    modelResponder(({ request: { input } }) => [assistantMessage(textIn(Array.isArray(input) ? input.at(-1) : input))])
  ])
