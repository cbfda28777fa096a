/** What a transport asks on its own account. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import type { ListToolsResult } from "@modelcontextprotocol/sdk/types.js"
import { Lists } from "@vmcp-keepalive/core"
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

const listOf = (
  { client, requests }: Pick<Link<Client>, "client" | "requests">,
  kind: Lists.Kind,
  limits: Partial<Limits.Limits> = {}
) => Ask.list(requests, client.getServerCapabilities(), { ...Limits.defaults, ...limits }, kind)

const toolsOf = ({ client, requests }: Link<Client>, limits: Partial<Limits.Limits> = {}) =>
  listOf({ client, requests }, "tools", limits)

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
      const first = { name: "a", inputSchema: schema, annotations: { readOnlyHint: true } }
      const second = { name: "b", inputSchema: schema, annotations: { idempotentHint: true } }
      const third = { name: "c", inputSchema: schema }
      expect(yield* toolsOf(yield* connect(mcp))).toEqual([
        { name: "a", fingerprint: Lists.fingerprint(first), replayable: true },
        { name: "b", fingerprint: Lists.fingerprint(second), replayable: true },
        { name: "c", fingerprint: Lists.fingerprint(third), replayable: false }
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

describe("the lists of prompts and resources", () => {
  const template = { uriTemplate: "file:///{path}", name: "files" }
  const answering = (answers: Readonly<Record<string, unknown>>) =>
    Effect.gen(function* () {
      const mcp = new McpServer({ name: "test", version: "1.0.0" }, { capabilities: { prompts: {}, resources: {} } })
      const link = yield* connect(mcp)
      const asked: Array<string> = []
      // What the SDK's server would not send, and what it would.
      link.transmit = (_send, pending) => {
        const { id = Number.NaN, record } = pending ?? {}
        const method = record?.method ?? ""
        asked.push(method)
        const result = answers[method]
        const answer = result === undefined ? { error: { code: -32601, message: "no" } } : { result }
        return link.fromServer(JSON.parse(JSON.stringify({ jsonrpc: "2.0", id, ...answer })))
      }
      return { asked, link }
    })

  it.live("have their entries by name, and by URI", () =>
    Effect.gen(function* () {
      const prompt = { name: "greet", arguments: [{ name: "whom" }] }
      const resource = { uri: "file:///a", name: "a" }
      const { asked, link } = yield* answering({
        "prompts/list": { prompts: [prompt, { title: "without a name" }] },
        "resources/list": { resources: [resource, { name: "without a URI" }] },
        "resources/templates/list": { resourceTemplates: [template] }
      })
      expect(yield* listOf(link, "prompts")).toEqual([
        { name: "greet", fingerprint: Lists.fingerprint(prompt), replayable: false }
      ])
      expect(yield* listOf(link, "resources")).toEqual([
        { name: "file:///a", fingerprint: Lists.fingerprint(resource), replayable: false },
        { name: "file:///{path}", fingerprint: Lists.fingerprint(template), replayable: false }
      ])
      expect(asked).toEqual(["prompts/list", "resources/list", "resources/templates/list"])
    }).pipe(Effect.scoped)
  )

  it.live("have no templates where the server knows none, and fail where it fails to say so", () =>
    Effect.gen(function* () {
      const { link } = yield* answering({ "resources/list": { resources: [{ uri: "file:///a" }] } })
      expect(yield* listOf(link, "resources")).toMatchObject([{ name: "file:///a" }])
      const failing = yield* answering({ "resources/list": { resources: [] }, "resources/templates/list": {} })
      expect(yield* Effect.flip(listOf(failing.link, "resources"))).toMatchObject({ reason: "protocol" })
      const without = yield* answering({ "resources/templates/list": { resourceTemplates: [template] } })
      expect(yield* Effect.flip(listOf(without.link, "resources"))).toMatchObject({ code: -32601 })
    }).pipe(Effect.scoped)
  )

  it.live("have one bound together for resources and templates", () =>
    Effect.gen(function* () {
      const { link } = yield* answering({
        "resources/list": { resources: [{ uri: "file:///a" }] },
        "resources/templates/list": { resourceTemplates: [template] }
      })
      expect(yield* Effect.flip(listOf(link, "resources", { entries: 1 }))).toMatchObject({ reason: "overflow" })
      expect((yield* listOf(link, "resources", { entries: 2 })).length).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.live("are not asked for where the server does not declare them", () =>
    Effect.gen(function* () {
      const link = yield* connect(listing(() => ({})).mcp)
      const { length } = link.sent
      expect(yield* listOf(link, "prompts")).toEqual([])
      expect(yield* listOf(link, "resources")).toEqual([])
      expect(link.sent.length).toBe(length)
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
      expect((yield* toolsOf(link, { entries: 4 })).length).toBe(4)
      expect(yield* Effect.flip(toolsOf(link, { entries: 3 }))).toMatchObject(overflow)
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
      expect(yield* toolsOf(link)).toMatchObject([{ name: "a", replayable: false }])
      expect(yield* Effect.flip(toolsOf(link, { entries: 4 }))).toMatchObject(overflow)
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
      // those of the client are in it already, and others are not the client's
      expect([...link.subscriptions]).toEqual([])
    }).pipe(Effect.scoped)
  )
})
