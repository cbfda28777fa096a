/** What is left of a subscription of the session's that has ended: nothing. */
import { describe, expect, it } from "vitest"
import type { Evidence } from "@vmcp-keepalive/core"
import { ClientTransport, ListenStream, Message } from "../../src/index.ts"

describe("a subscription that has ended", () => {
  it("hears nothing of what the server says on it afterwards", () => {
    const asked: Array<Message.Request> = []
    const told: Array<string> = []
    const transport = new ClientTransport.ClientTransport({
      request: (message) => void asked.push(message),
      transmit: async () => {},
      subscriptions: new Set(),
      listChanged: () => {},
      closed: () => {}
    })
    const observed: Array<Evidence.Evidence> = []
    const end = ListenStream.ofSession(
      {
        transport,
        host: { notice: () => {}, observe: (evidence) => void observed.push(evidence) },
        now: () => 0,
        fork: () => {},
        receive: () => {},
        isOpened: () => true,
        isOver: () => false
      },
      { toolsListChanged: true },
      {
        acknowledged: () => told.push("acknowledged"),
        heard: ({ method }) => told.push(method),
        gaveUp: () => told.push("gave up")
      }
    )
    const [request] = asked
    const say = (method: string, params: Message.Params = {}) =>
      transport.requests.received({
        jsonrpc: "2.0",
        method,
        params: { ...params, _meta: { [Message.subscriptionKey]: request?.id } }
      })
    const acknowledge = () =>
      say("notifications/subscriptions/acknowledged", { notifications: { toolsListChanged: true } })
    acknowledge()
    say("notifications/tools/list_changed")
    expect(told).toEqual(["acknowledged", "notifications/tools/list_changed"])
    end()
    acknowledge()
    say("notifications/tools/list_changed")
    expect(told.length).toBe(2)
    expect(observed).toEqual([])
  })
})
