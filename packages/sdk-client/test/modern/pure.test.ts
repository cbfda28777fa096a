/** What a peer makes of what a server of the modern era says, without a server. */
import { describe, expect, it } from "vitest"
import { Message } from "../../src/index.ts"
import * as Negotiation from "../../src/internal/modern/negotiation.ts"
import { ParameterHeaders } from "../../src/internal/modern/parameterHeaders.ts"
import { Questions } from "../../src/internal/modern/questions.ts"
import * as Shape from "../../src/internal/modern/shape.ts"
import { RpcError } from "../../src/internal/rpcError.ts"

describe("the answer to server/discover", () => {
  const discovered = (supportedVersions: unknown) => ({ supportedVersions, capabilities: {} })
  const refused = (code: number, data?: unknown) => new RpcError({ code, message: "no", data })

  it("decides the era by the revisions that it names, and an error by its code", () => {
    const verdicts = [
      Negotiation.ofResult(discovered(["2025-11-25", "2026-07-28"])),
      Negotiation.ofResult(discovered(["2025-11-25"])),
      Negotiation.ofResult(discovered(["2027-01-01"])),
      Negotiation.ofResult({ content: [] }),
      Negotiation.ofError(refused(-32601)),
      Negotiation.ofError(refused(-32022)),
      Negotiation.ofError(refused(-32022, { supported: ["2025-06-18"] })),
      Negotiation.ofError(refused(-32022, { supported: ["2025-06-18", "2027-01-01"] }))
    ]
    const tags = ["Modern", "Legacy", "Foreign", "Legacy", "Legacy", "Legacy", "Legacy", "Foreign"]
    expect(verdicts.map((verdict) => verdict?._tag)).toEqual(tags)
  })

  it("is none where no server has answered", () => {
    expect(Negotiation.ofError(new Error("reset"))).toBe(undefined)
  })
})

describe("what a server asks", () => {
  const heard: Array<Message.Message> = []
  const requests = (count: number, method = "roots/list") =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`key${at}`, { method }]))

  it("is asked at once, 64 questions at most, and none where one may not be asked", async () => {
    heard.length = 0
    const questions = new Questions((message) => void heard.push(message))
    await expect(questions.ask(requests(65), {}, undefined)).rejects.toThrow("more than 64")
    await expect(questions.ask(requests(2, "tools/call"), {}, undefined)).rejects.toThrow("may not ask")
    expect(heard.filter((message) => Message.isRequest(message))).toEqual([])
    const asked = questions.ask(requests(64), { relatedRequestId: 3 }, undefined)
    for (const message of [...heard].filter((each) => Message.isRequest(each)))
      questions.answered({ jsonrpc: "2.0", id: message.id, result: { of: message.id } })
    expect(Object.keys(await asked)).toHaveLength(64)
  })

  it("is taken back where its receiver throws: the call fails, and the places of its questions are free again", async () => {
    const asked: Array<Message.Id> = []
    const cancelled: Array<unknown> = []
    const questions = new Questions((message) => {
      if (Message.isRequest(message)) asked.push(message.id)
      else cancelled.push(message.params?.["requestId"])
      if (!Message.isRequest(message) || asked.length % 3 === 0) throw new Error("mine")
    })
    const failed = Array.from({ length: 30 }, () => questions.ask(requests(3), {}, undefined))
    for (const one of failed) await expect(one).rejects.toThrow("mine")
    expect(cancelled).toEqual(asked)
  })

  it("is taken back by an abort, whatever its receiver throws", async () => {
    const cancelled: Array<unknown> = []
    const questions = new Questions((message) => {
      if (Message.isRequest(message)) return
      cancelled.push(message.params?.["requestId"])
      throw new Error("mine")
    })
    const caller = new AbortController()
    const asked = questions.ask(requests(2), {}, caller.signal)
    caller.abort(new Error("enough"))
    await expect(asked).rejects.toThrow("enough")
    expect(cancelled).toEqual(["input-0", "input-1"])
  })

  it("ends with the session", async () => {
    const questions = new Questions(() => {})
    const asked = questions.ask(requests(1), {}, undefined)
    questions.end(new Error("over"))
    await expect(asked).rejects.toThrow("over")
  })
})

describe("arguments in headers", () => {
  const tool = (name: string, property: object) => ({
    name,
    inputSchema: { type: "object", properties: { of: property } }
  })
  const header = (name: string) => ({ type: "string", "x-mcp-header": name })

  it("are those that the schema names, as text that HTTP allows", () => {
    const headers = new ParameterHeaders()
    headers.listed({
      tools: [tool("a", header("Of")), tool("b", { properties: { deep: header("Deep") } }), tool("c", {})]
    })
    const of = (name: string, value: unknown) => headers.of({ name, arguments: { of: value } })
    expect(of("a", "x")).toEqual({ "mcp-param-of": "x" })
    expect(of("a", "ü")).toEqual({ "mcp-param-of": "=?base64?w7w=?=" })
    expect(of("a", true)).toEqual({ "mcp-param-of": "true" })
    expect(of("a", 2 ** 53)).toEqual({})
    expect(of("b", { deep: 1.5 })).toEqual({ "mcp-param-deep": "1.5" })
    expect(of("c", "x")).toBe(undefined)
    headers.listed({ tools: [tool("a", {})] })
    expect(of("a", "x")).toBe(undefined)
  })

  it("are remembered of 1,000 tools, 64 of each, and never with a name that is no header", () => {
    const headers = new ParameterHeaders()
    headers.listed({ tools: Array.from({ length: 1001 }, (_, at) => tool(`t${at}`, header("Of"))) })
    expect(headers.of({ name: "t0", arguments: { of: "x" } })).toBe(undefined)
    expect(headers.of({ name: "t1000", arguments: { of: "x" } })).toEqual({ "mcp-param-of": "x" })
    const properties = Object.fromEntries(Array.from({ length: 70 }, (_, at) => [`p${at}`, header(`P${at}`)]))
    const args = Object.fromEntries(Object.keys(properties).map((name) => [name, "x"]))
    headers.listed({ tools: [{ name: "many", inputSchema: { properties } }, tool("bad", header("a\r\nb"))] })
    expect(Object.keys(headers.of({ name: "many", arguments: args }) ?? {})).toHaveLength(64)
    expect(headers.of({ name: "bad", arguments: { of: "x" } })).toBe(undefined)
  })
})

describe("a result in the shape of the revisions before", () => {
  it("has an object as structured content, or a text", () => {
    const text = { type: "text", text: "said" }
    const of = (result: Message.Result) => Shape.result("tools/call", { resultType: "complete", ...result })
    expect(of({ content: [], structuredContent: [1] })).toEqual({ content: [{ type: "text", text: "[1]" }] })
    expect(of({ content: [text], structuredContent: null })).toEqual({ content: [text] })
    expect(of({ content: [], structuredContent: { a: 1 } })).toEqual({ content: [], structuredContent: { a: 1 } })
  })
})
