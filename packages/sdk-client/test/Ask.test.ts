/** What a transport asks on its own account. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import type { ListToolsResult } from "@modelcontextprotocol/sdk/types.js"
import { Effect, Fiber } from "effect"
import { Ask } from "../src/index.ts"
import { connect } from "./support.ts"

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

describe("a probe", () => {
  it.live("is told what the server answered, whether it understood or not", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      const probe = (rung: Ask.Rung) => Ask.probe(requests, client, rung)
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
      const probe = yield* Effect.forkChild(Ask.probe(link.requests, link.client, rung), { startImmediately: true })
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
      const evidence = yield* Ask.probe(requests, client, { _tag: "ping" })
      expect(evidence).toEqual({ _tag: "TransportFailure", reason: "closed" })
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
      const { client, requests } = yield* connect(mcp)
      expect(yield* Ask.tools(requests, client)).toEqual([
        { name: "a", readOnly: true, idempotent: false },
        { name: "b", readOnly: false, idempotent: true },
        { name: "c", readOnly: false, idempotent: false }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("ends where a cursor is repeated", () =>
    Effect.gen(function* () {
      const { asked, mcp } = listing(() => ({ tools: [{ name: "again", inputSchema: schema }], nextCursor: "same" }))
      const { client, requests } = yield* connect(mcp)
      expect((yield* Ask.tools(requests, client)).length).toBe(2)
      expect(asked).toEqual([undefined, "same"])
    }).pipe(Effect.scoped)
  )

  it.live("is empty, and not asked for, where the server has no tools", () =>
    Effect.gen(function* () {
      const link = yield* connect(new McpServer({ name: "test", version: "1.0.0" }))
      expect(yield* Ask.tools(link.requests, link.client)).toEqual([])
      expect(link.sent).not.toContain("tools/list")
    }).pipe(Effect.scoped)
  )

  it.live("fails with what was seen instead", () =>
    Effect.gen(function* () {
      const { mcp } = listing(() => ({}))
      const strange = yield* connect(mcp)
      expect(yield* Effect.flip(Ask.tools(strange.requests, strange.client))).toMatchObject({ reason: "protocol" })
      const refusing = listing(() => {
        throw new Error("no")
      })
      const { client, requests } = yield* connect(refusing.mcp)
      expect(yield* Effect.flip(Ask.tools(requests, client))).toMatchObject({ _tag: "ErrorAnswer", code: -32603 })
    }).pipe(Effect.scoped)
  )
})

describe("subscribing again", () => {
  it.live("leaves a refusal to the resource that it concerns", () =>
    Effect.gen(function* () {
      const uris = ["memo://one", "gone://two", "memo://three"]
      const link = yield* connect(undefined, uris)
      yield* Ask.subscribe(link.requests, link.client, link.subscriptions)
      expect(link.sent.filter((method) => method === "resources/subscribe").length).toBe(3)
      expect([...link.subscriptions]).toEqual(uris)
    }).pipe(Effect.scoped)
  )

  it.live("fails where the transport does", () =>
    Effect.gen(function* () {
      const link = yield* connect(undefined, ["memo://one"])
      link.transmit = () => Promise.reject(new Error("broken pipe"))
      const failed = Ask.subscribe(link.requests, link.client, link.subscriptions)
      expect(yield* Effect.flip(failed)).toEqual({ _tag: "TransportFailure", reason: "unknown" })
    }).pipe(Effect.scoped)
  )
})
