import { assert, describe, it } from "@effect/vitest"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { setImmediate as macrotask } from "node:timers/promises"
import { Delivery } from "../src/internal/delivery.ts"

const progress = (of: number, progress: number): Message.Notification => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken: of, progress }
})
const answer = (id: number): Message.Answer => ({ jsonrpc: "2.0", id, result: {} })

/** What was delivered, in order, with the macrotask in which it was. */
const listen = () => {
  const seen: Array<readonly [message: Message.Message, macrotask: number]> = []
  let now = 0
  let isOver = false
  const count = () => {
    now++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  return {
    seen,
    delivery: new Delivery((message) => void seen.push([message, now])),
    end: () => {
      isOver = true
      return seen.map(([message]) => message)
    }
  }
}

describe("the order of delivery", () => {
  it("is the order in which messages came, and an answer comes at least one macrotask after the notification before it", async () => {
    const { delivery, end, seen } = listen()
    const sent: Array<Message.Message> = []
    for (let call = 0; call < 20; call++) {
      for (let step = 1; step <= 3; step++) {
        sent.push(progress(call, step))
        delivery.message(progress(call, step))
      }
      sent.push(answer(call))
      delivery.answer(answer(call))
    }
    while (seen.length < sent.length) await macrotask()
    assert.deepStrictEqual(end(), sent)
    for (const [index, [message, at]] of seen.entries()) {
      const before = seen[index - 1]
      if (!("method" in message) && before !== undefined) assert.isAbove(at, before[1])
    }
  })

  it("keeps the place of an answer that has come and is told a few microtasks later", async () => {
    const { delivery, end, seen } = listen()
    delivery.expect(1)
    delivery.message(progress(2, 1))
    delivery.expect(2)
    delivery.message(progress(3, 1))
    await Promise.resolve()
    delivery.answer(answer(2))
    delivery.answer(answer(1))
    while (seen.length < 4) await macrotask()
    assert.deepStrictEqual(end(), [answer(1), progress(2, 1), answer(2), progress(3, 1)])
  })

  it("does not wait for an answer that is not told in its time: others go on, and it comes when it is", async () => {
    const { delivery, end, seen } = listen()
    delivery.expect(1)
    delivery.message(progress(2, 1))
    while (seen.length < 1) await macrotask()
    delivery.answer(answer(1))
    while (seen.length < 2) await macrotask()
    assert.deepStrictEqual(end(), [progress(2, 1), answer(1)])
  })

  it("does not hold back an answer before which nothing was told", () => {
    const { delivery, end } = listen()
    delivery.expect(1)
    delivery.answer(answer(1))
    delivery.answer(answer(2))
    assert.deepStrictEqual(end(), [answer(1), answer(2)])
  })

  it("holds back the answer to a request that is being sent until that is done", async () => {
    const { delivery, end, seen } = listen()
    delivery.answerLater(answer(1))
    assert.deepStrictEqual(seen, [])
    while (seen.length < 1) await macrotask()
    assert.deepStrictEqual(end(), [answer(1)])
  })

  it("keeps the order of what a host causes while it is told something", async () => {
    const seen: Array<Message.Message> = []
    const delivery: Delivery = new Delivery((message) => {
      seen.push(message)
      if ("id" in message && message.id === 1) {
        delivery.message(progress(9, 1))
        delivery.answer(answer(9))
      }
    })
    delivery.answer(answer(1))
    delivery.answer(answer(2))
    while (seen.length < 4) await macrotask()
    assert.deepStrictEqual(seen, [answer(1), progress(9, 1), answer(9), answer(2)])
  })

  it("does not fall behind a server that sends more than a macrotask an answer would allow", async () => {
    const { delivery, end, seen } = listen()
    for (let call = 0; call < 5000; call++) {
      delivery.message(progress(call, 1))
      delivery.answer(answer(call))
    }
    let macrotasks = 0
    while (seen.length < 10_000) {
      await macrotask()
      macrotasks++
    }
    // the bound of 1,000 that may wait, and not one for each answer
    assert.isBelow(macrotasks, 1100)
    assert.deepStrictEqual(end(), Array.from({ length: 5000 }, (_, call) => [progress(call, 1), answer(call)]).flat())
  })
})
