/** What the server says of its lists reaches the backend, and the client all the same. */
import { describe, expect, it } from "@effect/vitest"
import { ClientTransport, Message } from "../src/index.ts"

const said = (method: string): Message.Message => ({ jsonrpc: "2.0", method })

const hearing = () => {
  const kinds: Array<string> = []
  const heard: Array<string> = []
  const transport = new ClientTransport.ClientTransport({
    subscriptions: new Set(),
    listChanged: (kind) => void kinds.push(kind),
    request: () => {},
    transmit: () => Promise.resolve(),
    closed: () => {}
  })
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the transport is no EventTarget
  transport.onmessage = (message: { readonly method: string }) => {
    heard.push(message.method)
    throw new Error("a handler of the user's")
  }
  const say = (method: string) => {
    try {
      transport.requests.received(said(method))
    } catch {
      // as transports do
    }
  }
  return { heard, kinds, say, transport }
}

const methods = ["tools", "prompts", "resources"].map((kind) => `notifications/${kind}/list_changed`)

describe("list_changed", () => {
  it("is told by kind, and the client hears it", () => {
    const { heard, kinds, say } = hearing()
    for (const method of methods) say(method)
    expect(kinds).toEqual(["tools", "prompts", "resources"])
    expect(heard).toEqual(methods)
  })

  it("is nothing else that a server says", () => {
    const { heard, kinds, say } = hearing()
    const others = ["notifications/roots/list_changed", "notifications/tools/list_changed/", "tools/list_changed"]
    for (const method of others) say(method)
    expect(kinds).toEqual([])
    expect(heard).toEqual(others)
    expect(Message.listChanged({ jsonrpc: "2.0", id: 1, result: {} })).toBeUndefined()
  })

  it("is told no longer once the client is closed", async () => {
    const { kinds, say, transport } = hearing()
    await transport.close()
    say("notifications/tools/list_changed")
    expect(kinds).toEqual([])
  })
})
