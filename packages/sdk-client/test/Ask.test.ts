/** What a transport asks on its own account. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import type { ListToolsResult } from "@modelcontextprotocol/sdk/types.js"
import { Effect, Fiber } from "effect"
import { Ask, Limits } from "../src/index.ts"
import { connect, handlers, idle, type Link } from "./support.ts"

const schema = { type: "object" } as const

/** A server whose list of tools is what the function says; `asked` are the cursors that it was asked for. */
const listing = (page: (cursor: string | undefined) => ListToolsResult | Record<string, never>) => {
  const mcp = new McpServer({ name: "test", version: "1.0.0" }, { capabilities: { tools: {} } })
  const asked: Array<string | undefined> = []
  mcp.server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
    asked.push(params?.cursor)
    return page(params?.cursor)
  })
  return { mcp, asked }
}

const toolsOf = ({ client, requests }: Link<Client>, limits: Partial<Limits.Limits> = {}) =>
  Ask.tools(requests, client.getServerCapabilities(), { ...Limits.defaults, ...limits })

describe("a probe", () => {
  it.live("is told what the server answered, whether it understood or not", () =>
    Effect.gen(function* () {
      const { requests } = yield* connect()
      const probe = (rung: Ask.Rung) => Ask.probe(requests, rung)
      expect(yield* probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect(yield* probe({ _tag: "list-tools" })).toEqual({ _tag: "Answered" })
      expect(yield* probe({ _tag: "tool", name: "echo", arguments: {} })).toEqual({ _tag: "Answered" })
      expect(yield* probe({ _tag: "tool", name: "fail", arguments: {} })).toEqual({ _tag: "Answered" })
      expect(yield* probe({ _tag: "discover" })).toEqual({ _tag: "ErrorAnswer", code: -32601 })
    }).pipe(Effect.scoped)
  )

  it.live("that is interrupted frees what it holds and tells the server nothing", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const rung: Ask.Rung = { _tag: "tool", name: "hang", arguments: {} }
      const probe = yield* Effect.forkChild(Ask.probe(link.requests, rung), { startImmediately: true })
      expect(link.requests.pending.size).toBe(1)
      yield* Fiber.interrupt(probe)
      expect(link.requests.pending.size).toBe(0)
      expect(link.released).toEqual(["tools/call"])
      expect(link.sent.at(-1)).toBe("tools/call")
    }).pipe(Effect.scoped)
  )

  it.live("on a client that is closed says so", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      yield* Effect.promise(() => client.close())
      const evidence = yield* Ask.probe(requests, { _tag: "ping" })
      expect(evidence).toEqual({ _tag: "TransportFailure", reason: "closed" })
    }).pipe(Effect.scoped)
  )
})

describe("a question of the transport's own", () => {
  it.live("has an id that clients do not use, and the client sees neither it nor the answer", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const seen: Array<unknown> = []
      const deliver = link.transport.onmessage
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the transport is no EventTarget
      link.transport.onmessage = (message, about) => {
        seen.push(message)
        deliver?.(message, about)
      }
      yield* Ask.probe(link.requests, { _tag: "ping" })
      yield* Ask.probe(link.requests, { _tag: "discover" })
      expect(link.wire.slice(-2)).toMatchObject([
        { id: 1_000_000_000, method: "ping" },
        { id: 1_000_000_001, method: "server/discover" }
      ])
      yield* Effect.promise(idle)
      expect(seen).toEqual([])
      expect(link.complaints).toEqual([])
      expect(handlers(link.client)).toBe(0)
      // and the client counts its own as if there were none
      yield* Effect.promise(() => link.client.ping())
      expect(link.wire.at(-1)).toMatchObject({ id: 1, method: "ping" })
    }).pipe(Effect.scoped)
  )

  it.live("brings the result of a server", () =>
    Effect.gen(function* () {
      const { requests } = yield* connect()
      const params = { name: "fail", arguments: {} }
      const asked = yield* Ask.ask(requests, { method: "tools/call", params })
      expect(asked).toEqual({ evidence: { _tag: "Answered" }, result: { content: [], isError: true } })
      const unknown = yield* Ask.ask(requests, { method: "no/such" })
      expect(unknown).toEqual({ evidence: { _tag: "ErrorAnswer", code: -32601 }, result: undefined })
    }).pipe(Effect.scoped)
  )

  it.live("ends with the session", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      const rung: Ask.Rung = { _tag: "tool", name: "hang", arguments: {} }
      const probe = yield* Effect.forkChild(Ask.probe(requests, rung), { startImmediately: true })
      yield* Effect.promise(() => client.close())
      expect(yield* Fiber.join(probe)).toEqual({ _tag: "TransportFailure", reason: "closed" })
    }).pipe(Effect.scoped)
  )
})

describe("the list of tools", () => {
  it.live("has those of all pages, with their hints", () =>
    Effect.gen(function* () {
      const { mcp } = listing((cursor) =>
        cursor === undefined
          ? { tools: [{ name: "a", inputSchema: schema, annotations: { readOnlyHint: true } }], nextCursor: "second" }
          : {
              tools: [
                { name: "b", inputSchema: schema, annotations: { idempotentHint: true } },
                { name: "c", inputSchema: schema }
              ]
            }
      )
      expect(yield* toolsOf(yield* connect(mcp))).toEqual([
        { name: "a", readOnly: true, idempotent: false },
        { name: "b", readOnly: false, idempotent: true },
        { name: "c", readOnly: false, idempotent: false }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("ends where a cursor is repeated", () =>
    Effect.gen(function* () {
      const { asked, mcp } = listing(() => ({ tools: [{ name: "again", inputSchema: schema }], nextCursor: "same" }))
      expect((yield* toolsOf(yield* connect(mcp))).length).toBe(2)
      expect(asked).toEqual([undefined, "same"])
    }).pipe(Effect.scoped)
  )

  it.live("is empty, and not asked for, where the server has no tools", () =>
    Effect.gen(function* () {
      const link = yield* connect(new McpServer({ name: "test", version: "1.0.0" }))
      expect(yield* toolsOf(link)).toEqual([])
      expect(link.sent).not.toContain("tools/list")
    }).pipe(Effect.scoped)
  )

  it.live("fails with what was seen instead", () =>
    Effect.gen(function* () {
      const { mcp } = listing(() => ({}))
      expect(yield* Effect.flip(toolsOf(yield* connect(mcp)))).toMatchObject({ reason: "protocol" })
      const refusing = listing(() => {
        throw new Error("no")
      })
      expect(yield* Effect.flip(toolsOf(yield* connect(refusing.mcp)))).toMatchObject({
        _tag: "ErrorAnswer",
        code: -32603
      })
    }).pipe(Effect.scoped)
  )
})

describe("a list of tools without an end", () => {
  const overflow = { _tag: "TransportFailure", reason: "overflow" }

  it.live("is not followed beyond the pages that the limits allow", () =>
    Effect.gen(function* () {
      let page = 0
      const { asked, mcp } = listing(() => ({ tools: [], nextCursor: `${page++}` }))
      expect(yield* Effect.flip(toolsOf(yield* connect(mcp), { pages: 3 }))).toMatchObject(overflow)
      expect(asked).toEqual([undefined, "0", "1"])
    }).pipe(Effect.scoped)
  )

  it.live("is not kept beyond the tools that the limits allow, over all pages", () =>
    Effect.gen(function* () {
      const tools = ["a", "b"].map((name) => ({ name, inputSchema: schema }))
      const { asked, mcp } = listing((cursor) => (cursor === undefined ? { tools, nextCursor: "2" } : { tools }))
      const link = yield* connect(mcp)
      expect((yield* toolsOf(link, { tools: 4 })).length).toBe(4)
      expect(yield* Effect.flip(toolsOf(link, { tools: 3 }))).toMatchObject(overflow)
      expect(asked).toEqual([undefined, "2", undefined, "2"])
    }).pipe(Effect.scoped)
  )

  it.live("counts what is no tool, though it is left out", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      // What the SDK's server would not send.
      link.transmit = (_send, pending) =>
        link.fromServer({
          jsonrpc: "2.0",
          id: pending?.id ?? Number.NaN,
          result: { tools: [null, 7, {}, { name: 7 }, { name: "a", annotations: null }] }
        })
      expect(yield* toolsOf(link)).toEqual([{ name: "a", readOnly: false, idempotent: false }])
      expect(yield* Effect.flip(toolsOf(link, { tools: 4 }))).toMatchObject(overflow)
    }).pipe(Effect.scoped)
  )
})

describe("subscribing again", () => {
  it.live("leaves a refusal to the resource that it concerns", () =>
    Effect.gen(function* () {
      const uris = ["memo://one", "gone://two", "memo://three"]
      const link = yield* connect(undefined, uris)
      yield* Ask.subscribe(link.requests, link.subscriptions)
      expect(link.sent.filter((method) => method === "resources/subscribe").length).toBe(3)
      expect([...link.subscriptions]).toEqual(uris)
    }).pipe(Effect.scoped)
  )

  it.live("fails where the transport does", () =>
    Effect.gen(function* () {
      const link = yield* connect(undefined, ["memo://one"])
      link.transmit = () => Promise.reject(new Error("broken pipe"))
      const failed = Ask.subscribe(link.requests, link.subscriptions)
      expect(yield* Effect.flip(failed)).toEqual({ _tag: "TransportFailure", reason: "unknown" })
    }).pipe(Effect.scoped)
  )

  it.live("asks for 8 at a time", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const waiting: Array<() => Promise<void>> = []
      link.transmit = (send) => {
        waiting.push(send)
        return Promise.resolve()
      }
      const uris = Array.from({ length: 20 }, (_, index) => `memo://${index}`)
      const fiber = yield* Effect.forkChild(Ask.subscribe(link.requests, uris), { startImmediately: true })
      const counts: Array<number> = []
      while (waiting.length > 0) {
        counts.push(waiting.length)
        for (const send of waiting.splice(0)) yield* Effect.promise(send)
        yield* Effect.promise(idle)
      }
      yield* Fiber.join(fiber)
      expect(counts).toEqual([8, 8, 4])
      expect(link.subscriptions.size).toBe(20)
    }).pipe(Effect.scoped)
  )
})
