import { assert, describe, it } from "@effect/vitest"
import { type Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import { ServerRequests } from "../src/internal/serverRequests.ts"

const sampling = (id: Message.Id, progressToken?: Message.Id): Message.Request => ({
  jsonrpc: "2.0",
  id,
  method: "sampling/createMessage",
  params: { maxTokens: 1, ...(progressToken === undefined ? {} : { _meta: { progressToken, other: true } }) }
})
const answer = (id: Message.Id): Message.Answer => ({ jsonrpc: "2.0", id, result: { role: "assistant" } })
const progress = (progressToken: Message.Id): Message.Notification => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken, progress: 1 }
})

describe("requests of servers", () => {
  it("have ids towards the host that never repeat, and get their answer under their own", () => {
    const requests = new ServerRequests()
    const [one, other] = [Peer.make(), Peer.make()]
    const first = requests.received(one, sampling(0))
    const second = requests.received(other, sampling(0))
    assert.notStrictEqual(first.id, second.id)
    assert.deepStrictEqual(requests.answered(answer(second.id)), { peer: other, message: answer(0) })
    assert.deepStrictEqual(requests.answered(answer(first.id)), { peer: one, message: answer(0) })
    assert.strictEqual(requests.size, 0)
  })

  it("are answered once, and not by an id that the host has made up", () => {
    const requests = new ServerRequests()
    const { id } = requests.received(Peer.make(), sampling(0))
    requests.answered(answer(id))
    assert.isUndefined(requests.answered(answer(id)))
    assert.isUndefined(requests.answered(answer(0)))
    assert.isUndefined(requests.answered({ jsonrpc: "2.0", error: { code: -32603, message: "no id" } }))
  })

  it("have progress tokens of their own too, also 0, which was the server's", () => {
    const requests = new ServerRequests()
    const peer = Peer.make()
    const request = requests.received(peer, sampling(5, 0))
    const token = request.params?._meta?.["progressToken"]
    assert.strictEqual(token, request.id)
    assert.isTrue(request.params?._meta?.["other"])
    assert.deepStrictEqual(requests.progress(request.id, progress(request.id)), { peer, message: progress(0) })
    requests.answered(answer(request.id))
    assert.isUndefined(requests.progress(request.id, progress(request.id)))
  })

  it("without a token have no progress", () => {
    const requests = new ServerRequests()
    const { id } = requests.received(Peer.make(), sampling(5))
    assert.isUndefined(requests.progress(id, progress(id)))
  })

  it("are cancelled at the host with the id that it knows, those of that server alone", () => {
    const requests = new ServerRequests()
    const [one, other] = [Peer.make(), Peer.make()]
    const cancelled: Message.Notification = {
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId: 3, reason: "no more" }
    }
    const request = requests.received(one, sampling(3))
    assert.isUndefined(requests.cancelled(other, 3, cancelled))
    assert.deepStrictEqual(requests.cancelled(one, 3, cancelled)?.params, { requestId: request.id, reason: "no more" })
    assert.isUndefined(requests.cancelled(one, 3, cancelled))
  })

  it("are cancelled when their session ends, and what the host says late reaches nobody", () => {
    const requests = new ServerRequests()
    const [one, other] = [Peer.make(), Peer.make()]
    const lost = [requests.received(one, sampling(0)), requests.received(one, sampling(1))]
    const kept = requests.received(other, sampling(0))
    assert.deepStrictEqual(
      requests.ended(one).map(({ params }) => params?.["requestId"]),
      lost.map(({ id }) => id)
    )
    for (const { id } of lost) assert.isUndefined(requests.answered(answer(id)))
    assert.strictEqual(requests.answered(answer(kept.id))?.peer, other)
  })
})
