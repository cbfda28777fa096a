/** What a session is asked for who listens on it, and what is left of that. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.effect` */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ClientTransport, Listening as Listen, type Message, type Requests } from "../src/index.ts"
import { Listening } from "../src/internal/modern/listening.ts"

describe("who listens to a resource in the legacy era", () => {
  /** A session whose server answers when the test says so. */
  const session = () => {
    const asked: Array<Message.Request> = []
    const transport = new ClientTransport.ClientTransport({
      request: (message, { record }) => {
        record.fate = "dispatched"
        asked.push(message)
      },
      transmit: () => Promise.resolve(),
      subscriptions: new Set(),
      closed: () => {}
    })
    const listen = Listen.listen(
      {
        transport,
        host: { notice: () => {}, observe: () => {} },
        now: () => 0,
        fork: () => {},
        receive: () => {},
        isOpened: () => true,
        isOver: () => false,
        subscribed: new Set(),
        capabilities: () => ({ resources: { subscribe: true } })
      },
      { uris: ["note://1"] },
      { opened: () => {}, changed: () => {} }
    )
    const answer = (answered: { readonly result: Message.Result } | Pick<Message.ErrorAnswer, "error">) => {
      const { id } = asked.at(-1) ?? { id: "none" }
      transport.requests.received({ jsonrpc: "2.0", id, ...answered })
    }
    return { answer, asked, listen, methods: () => asked.map(({ method }) => method) }
  }

  it.effect("leaves no subscription on the server, also where it stops before the answer", () =>
    Effect.gen(function* () {
      const { asked, listen, methods } = session()
      const listening = yield* Effect.forkChild(listen, { startImmediately: true })
      expect(methods()).toEqual(["resources/subscribe"])
      yield* Fiber.interrupt(listening)
      expect(methods()).toEqual(["resources/subscribe", "resources/unsubscribe"])
      expect(asked.at(-1)?.params).toEqual({ uri: "note://1" })
    })
  )

  it.effect("ends no subscription that the server has refused", () =>
    Effect.gen(function* () {
      const { answer, listen, methods } = session()
      const listening = yield* Effect.forkChild(listen, { startImmediately: true })
      answer({ error: { code: -32602, message: "no" } })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(listening)
      expect(methods()).toEqual(["resources/subscribe"])
    })
  )
})

describe("who subscribes to a resource in the modern era", () => {
  it("is told what the server says of it, also where another has asked for the same just before", async () => {
    const asked: Array<Requests.Question> = []
    const listening: Listening = new Listening({
      ask: (question, { id = "none" }) => {
        asked.push(question)
        listening.take({
          jsonrpc: "2.0",
          method: "notifications/subscriptions/acknowledged",
          params: { notifications: {}, _meta: { "io.modelcontextprotocol/subscriptionId": id } }
        })
        return new Promise(() => {})
      },
      capabilities: { resources: { subscribe: true } },
      uris: new Set()
    })
    const refused = { message: "The server does not tell of this resource" }
    const all = await Promise.allSettled([listening.subscribe("note://1"), listening.subscribe("note://1")])
    for (const one of all) expect(one).toMatchObject({ status: "rejected", reason: refused })
    expect(asked).toHaveLength(1)
    // another time is another question
    await expect(listening.subscribe("note://1")).rejects.toMatchObject(refused)
    expect(asked).toHaveLength(2)
  })
})
