/** What is decided without a connection: what a request asks, where a message goes, what waits. */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { assert, describe, it } from "vitest"
import { isRefusal, readBody, readHead } from "../../src/internal/fetch/httpRequest.ts"
import { route } from "../../src/internal/fetch/route.ts"
import { Undelivered } from "../../src/internal/fetch/undelivered.ts"

const head = (method: string, headers: Record<string, string> = {}) => {
  const read = readHead(method, new Headers(headers))
  return isRefusal(read) ? read.status : read
}
const json = { "content-type": "application/json" }
const both = "application/json, text/event-stream"

describe("the head of a request", () => {
  it("is one of three methods", () => {
    assert.strictEqual(head("POST", { ...json, accept: both }), "POST")
    assert.strictEqual(head("GET", { accept: "text/event-stream" }), "GET")
    assert.strictEqual(head("DELETE"), "DELETE")
    for (const method of ["PUT", "PATCH", "HEAD", "OPTIONS"]) assert.strictEqual(head(method), 405)
  })

  it("accepts what the answer may be, by name, by family or whatever it is", () => {
    for (const accept of [
      both,
      "text/event-stream;q=0.9,application/json",
      "*/*",
      "application/*, text/*",
      "TEXT/*, */*"
    ])
      assert.strictEqual(head("POST", { ...json, accept }), "POST", accept)
    assert.strictEqual(head("POST", json), "POST")
    for (const accept of ["application/json", "text/event-stream", "text/html", ""])
      assert.strictEqual(head("POST", { ...json, accept }), 406, accept)
    assert.strictEqual(head("GET", { accept: "application/json" }), 406)
  })

  it("says that its body is JSON, with whatever parameters", () => {
    assert.strictEqual(head("POST", { accept: both, "content-type": "application/json; charset=utf-8" }), "POST")
    for (const type of ["text/plain", "application/jsonx", "text/plain; application/json"])
      assert.strictEqual(head("POST", { accept: both, "content-type": type }), 415, type)
    assert.strictEqual(head("POST", { accept: both }), 415)
  })

  it("names a version of the protocol that has sessions, or none", () => {
    assert.strictEqual(head("DELETE", { "mcp-protocol-version": "2025-06-18" }), "DELETE")
    for (const version of ["2026-07-28", "", "1"])
      assert.strictEqual(head("DELETE", { "mcp-protocol-version": version }), 400, version)
  })
})

describe("the body of a request", () => {
  const body = (text: string) => {
    const read = readBody(text)
    return isRefusal(read) ? `${read.status} ${read.code}` : read
  }

  it("is one message", () => {
    const message = { jsonrpc: "2.0", id: "a", method: "tools/list" }
    assert.deepStrictEqual(body(JSON.stringify(message)), message as Message.Message)
    assert.strictEqual(body("{"), "400 -32700")
    assert.strictEqual(body(""), "400 -32700")
    assert.strictEqual(body(JSON.stringify([message])), "400 -32600")
    for (const none of [
      null,
      1,
      "x",
      {},
      { ...message, jsonrpc: "1.0" },
      { ...message, id: null },
      { jsonrpc: "2.0", id: 1 }
    ])
      assert.strictEqual(body(JSON.stringify(none)), "400 -32600", JSON.stringify(none))
  })
})

describe("the stream of a message", () => {
  const calls = (...ids: Array<Message.Id>) => new Map(ids.map((id) => [id, undefined]))
  const place = (
    message: Message.Message,
    open: {
      readonly ids?: Array<Message.Id>
      readonly standing?: boolean
      readonly related?: Message.Id
      readonly tokens?: Record<string, Message.Id>
    }
  ) => {
    const { ids = [], related, standing = false, tokens = {} } = open
    const found = route(message, related, { calls: calls(...ids), standing, byToken: (token) => tokens[String(token)] })
    return "id" in found ? `${found._tag} ${found.id}` : found._tag
  }
  const progress: Message.Message = { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: "t" } }
  const log: Message.Message = { jsonrpc: "2.0", method: "notifications/message", params: {} }
  const changed: Message.Message = { jsonrpc: "2.0", method: "notifications/tools/list_changed" }
  const sampling: Message.Message = { jsonrpc: "2.0", id: "kept-0", method: "sampling/createMessage", params: {} }

  it("is, for an answer, that of its request, and none where nobody waits", () => {
    const answer: Message.Message = { jsonrpc: "2.0", id: 1, result: {} }
    assert.strictEqual(place(answer, { ids: [1, 2], standing: true }), "Answer 1")
    assert.strictEqual(place(answer, { ids: ["1"], standing: true }), "Nobody")
    assert.strictEqual(
      place({ jsonrpc: "2.0", error: { code: 1, message: "" } }, { ids: [1], standing: true }),
      "Nobody"
    )
  })

  it("is that of the request on whose stream the server sent it, as long as that is under way", () => {
    assert.strictEqual(place(sampling, { ids: [1, 2], standing: true, related: 2 }), "Call 2")
    assert.strictEqual(place(changed, { ids: [1, 2], standing: true, related: 2 }), "Call 2")
    assert.strictEqual(place(sampling, { ids: [1, 2], standing: true, related: 3 }), "Standing")
  })

  it("is that of the request whose progress it tells", () => {
    assert.strictEqual(place(progress, { ids: [1, 2], standing: true, tokens: { t: 2 } }), "Call 2")
    assert.strictEqual(place(progress, { ids: [1, 2], standing: true }), "Standing")
  })

  it("is that of the only request, for all that a request may be the reason of", () => {
    assert.strictEqual(place(sampling, { ids: [1], standing: true }), "Call 1")
    assert.strictEqual(place(log, { ids: [1], standing: true }), "Call 1")
    assert.strictEqual(place(changed, { ids: [1], standing: true }), "Standing")
    assert.strictEqual(place(sampling, { ids: [1, 2], standing: true }), "Standing")
  })

  it("is any that is open where none stands, so that nothing is lost", () => {
    assert.strictEqual(place(sampling, { ids: [1, 2] }), "Call 1")
    assert.strictEqual(place(changed, { ids: [1] }), "Call 1")
    assert.strictEqual(place(sampling, {}), "Nowhere")
    assert.strictEqual(place(changed, {}), "Nowhere")
  })
})

describe("messages without a stream", () => {
  const log = (data: string): Message.Notification => ({
    jsonrpc: "2.0",
    method: "notifications/message",
    params: { data }
  })
  const ask = (id: string): Message.Request => ({ jsonrpc: "2.0", id, method: "roots/list" })
  const cancelled = (requestId: string): Message.Notification => ({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId }
  })

  it("wait in order, each once", () => {
    const undelivered = new Undelivered()
    for (const message of [log("1"), ask("a"), log("1"), log("2")])
      assert.deepStrictEqual(undelivered.hold(message), [])
    assert.deepStrictEqual(undelivered.release(), [log("1"), ask("a"), log("2")])
    assert.deepStrictEqual(undelivered.release(), [])
  })

  it("are no more than so many, and not longer than that together: the oldest are given up", () => {
    const few = new Undelivered({ messages: 2, characters: 10_000 })
    few.hold(ask("a"))
    few.hold(log("1"))
    assert.deepStrictEqual(few.hold(log("2")), [ask("a")])
    const short = new Undelivered({ messages: 100, characters: 300 })
    short.hold(log("x".repeat(100)))
    assert.deepStrictEqual(short.hold(log("y".repeat(200))), [log("x".repeat(100))])
    assert.deepStrictEqual(short.hold(log("z".repeat(1000))), [log("y".repeat(200))])
    assert.strictEqual(short.size, 1)
    assert.deepStrictEqual(short.release(), [log("z".repeat(1000))])
    assert.deepStrictEqual(short.hold(log("x".repeat(100))), [])
  })

  it("do not ask what nobody wants to know any more", () => {
    const undelivered = new Undelivered()
    undelivered.hold(ask("a"))
    undelivered.hold(cancelled("a"))
    undelivered.hold(cancelled("b"))
    assert.deepStrictEqual(undelivered.release(), [cancelled("b")])
  })
})
