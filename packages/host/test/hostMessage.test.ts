import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { type Phase, read } from "../src/internal/hostMessage.ts"
import { hello } from "./support.ts"

const phases: ReadonlyArray<Phase> = ["new", "initializing", "open", "closed"]
const nothingUnderWay = () => false
const request = (method: string, params?: unknown, id: unknown = 1) => ({
  jsonrpc: "2.0",
  id,
  method,
  ...(params === undefined ? {} : { params })
})
const notification = (method: string, params?: unknown) => ({
  jsonrpc: "2.0",
  method,
  ...(params === undefined ? {} : { params })
})
const codeOf = (value: unknown, phase: Phase, isUnderWay: (id: unknown) => boolean = nothingUnderWay) => {
  const meaning = read(value, phase, isUnderWay)
  if (meaning._tag !== "Answered" || !("error" in meaning.answer)) return meaning._tag
  return [meaning.answer.error.code, meaning.answer.id]
}

describe("what a message of the host's means", () => {
  it("before initialize: it can ping, initialize and ask whether this is a later version, and nothing else", () => {
    assert.deepStrictEqual(codeOf(request("tools/list"), "new"), [-32600, 1])
    assert.deepStrictEqual(codeOf(request("tools/call", { name: "x" }), "initializing"), [-32600, 1])
    assert.deepStrictEqual(codeOf(request("server/discover"), "new"), [-32601, 1])
    assert.deepStrictEqual(read(request("ping"), "new", nothingUnderWay), {
      _tag: "Answered",
      answer: { jsonrpc: "2.0", id: 1, result: {} }
    })
    assert.strictEqual(read(request("initialize", hello), "new", nothingUnderWay)._tag, "Initialize")
    assert.strictEqual(read(notification("notifications/roots/list_changed"), "new", nothingUnderWay)._tag, "Nothing")
    assert.strictEqual(read(notification("notifications/initialized"), "new", nothingUnderWay)._tag, "Nothing")
  })

  it("a second initialize is an invalid request, under way and done", () => {
    assert.deepStrictEqual(codeOf(request("initialize", hello), "initializing"), [-32600, 1])
    assert.deepStrictEqual(codeOf(request("initialize", hello), "open"), [-32600, 1])
  })

  it("an initialize without its parameters has invalid parameters", () => {
    for (const missing of ["protocolVersion", "capabilities", "clientInfo"]) {
      const { [missing]: _, ...params } = hello
      assert.deepStrictEqual(codeOf(request("initialize", params), "new"), [-32602, 1])
    }
    assert.deepStrictEqual(codeOf(request("initialize"), "new"), [-32602, 1])
  })

  it("a ping is answered here, in every phase", () => {
    for (const phase of ["new", "initializing", "open"] as const) {
      assert.strictEqual(read(request("ping"), phase, nothingUnderWay)._tag, "Answered")
    }
  })

  it("an unknown method is the server's to refuse", () => {
    assert.strictEqual(read(request("x/y"), "open", nothingUnderWay)._tag, "Request")
  })

  it("an id that is under way is refused without an id, which would settle the other request", () => {
    assert.deepStrictEqual(
      codeOf(request("tools/list"), "open", (id) => id === 1),
      [-32600, undefined]
    )
  })

  it("a batch and what is no message are refused, with the id where one can be seen", () => {
    assert.deepStrictEqual(codeOf([request("ping")], "open"), [-32600, undefined])
    assert.deepStrictEqual(codeOf("text", "open"), [-32600, undefined])
    assert.deepStrictEqual(codeOf({ id: 7, method: "tools/list" }, "open"), [-32600, 7])
    assert.deepStrictEqual(codeOf(request("tools/list", "no object", "a"), "open"), [-32600, "a"])
    assert.deepStrictEqual(codeOf(request("tools/list", undefined, 1.5), "open"), [-32600, undefined])
  })

  it("marks as idempotent what sets a value, and no call of a tool", () => {
    const idempotent = (method: string) => {
      const meaning = read(request(method), "open", nothingUnderWay)
      return meaning._tag === "Request" && meaning.idempotent
    }
    assert.isTrue(idempotent("logging/setLevel"))
    assert.isTrue(idempotent("resources/subscribe"))
    assert.isFalse(idempotent("tools/call"))
    assert.isFalse(idempotent("tasks/cancel"))
    assert.isFalse(idempotent("x/y"))
  })

  it("nothing is answered and nothing reaches a server after the end", () => {
    for (const value of [request("ping"), request("tools/list"), "text", notification("notifications/initialized")]) {
      assert.strictEqual(read(value, "closed", nothingUnderWay)._tag, "Nothing")
    }
  })

  it("whatever is sent, a server gets messages of JSON-RPC only, and before initialize nothing", () => {
    const id = FastCheck.oneof(FastCheck.integer(), FastCheck.string(), FastCheck.double(), FastCheck.constant(null))
    const method = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.constantFrom(
        "initialize",
        "ping",
        "tools/call",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/initialized"
      )
    )
    const message = FastCheck.record(
      { jsonrpc: FastCheck.constantFrom("2.0", "1.0", undefined), id, method, params: FastCheck.jsonValue() },
      { requiredKeys: [] }
    )
    FastCheck.assert(
      FastCheck.property(
        FastCheck.oneof(FastCheck.jsonValue(), message),
        FastCheck.constantFrom(...phases),
        FastCheck.boolean(),
        (value, phase, isUnderWay) => {
          const meaning = read(value, phase, () => isUnderWay)
          const reaches = meaning._tag === "Request" || meaning._tag === "Notification"
          if (reaches && phase !== "open") return false
          if (meaning._tag === "Request") return meaning.request.jsonrpc === "2.0" && !isUnderWay
          return true
        }
      ),
      { numRuns: 2000 }
    )
  })
})
