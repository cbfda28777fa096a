/** In place of a real model: has the tool `echo` repeat what it was asked, and says what that has answered. */
import { AIMessage, type BaseMessage } from "@langchain/core/messages"
import { FakeBuiltModel } from "@langchain/core/testing"

const next = (messages: ReadonlyArray<BaseMessage>): AIMessage => {
  const last = messages.at(-1)
  const text = last?.text ?? ""
  return last?.type === "tool"
    ? new AIMessage(text)
    : new AIMessage({
        content: "",
        tool_calls: [{ type: "tool_call", id: "1", name: "echo", args: { message: text } }]
      })
}

/** Good for the two answers of one turn. */
export const model = (): FakeBuiltModel => new FakeBuiltModel().respond(next).respond(next)
