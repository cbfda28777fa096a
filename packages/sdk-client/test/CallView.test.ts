/** The client as one call sees it. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Effect } from "effect"
import { vi } from "vitest"
import { CallView } from "../src/index.ts"
import { connect, connectAs } from "./support.ts"

const echo = { name: "echo" }
const hang = { name: "hang" }

/** Timers that the test moves on: the SDK's are no `Clock`'s. */
const timers = Effect.acquireRelease(
  Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
  () => Effect.sync(() => vi.useRealTimers())
)

describe("a call's view of the client", () => {
  it.live("records every request in order, those of the client's own methods too, and only its own", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      const other = CallView.call(requests, client)
      const { client: view, requests: records } = CallView.call(requests, client)
      yield* Effect.promise(async () => {
        await view.listTools()
        await view.ping()
        await view.callTool(echo)
        await view.experimental.tasks.getTask("none").catch(() => {})
        for await (const _ of view.experimental.tasks.callToolStream(echo)) continue
      })
      expect(records.map(({ method, tool }) => [method, tool])).toEqual([
        ["tools/list", undefined],
        ["ping", undefined],
        ["tools/call", "echo"],
        ["tasks/get", undefined],
        ["tools/call", "echo"]
      ])
      expect(records.every(({ fate }) => fate === "answered")).toBe(true)
      expect(other.requests).toEqual([])
      yield* Effect.promise(() => other.client.experimental.tasks.getTask("none").catch(() => {}))
      expect(other.requests.map(({ method }) => method)).toEqual(["tasks/get"])
      expect(records.length).toBe(5)
    }).pipe(Effect.scoped)
  )

  it.live("is the client in every other respect", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      const { client: view } = CallView.call(requests, client)
      expect(view instanceof Client).toBe(true)
      expect(view.getServerVersion()).toEqual({ name: "test", version: "1.0.0" })
      const onerror = () => {}
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's client is no EventTarget
      view.onerror = onerror
      expect(client.onerror).toBe(onerror)
    }).pipe(Effect.scoped)
  )

  it.live("begins nothing more when the call is over, and leaves what is under way", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      const { client: view, end, requests: records } = CallView.call(link.requests, link.client)
      const underWay = view.callTool(hang).catch((error: unknown) => error)
      end()
      const late = yield* Effect.promise(() => view.callTool(echo).catch((error: unknown) => error))
      expect(late).toMatchObject({ message: "The call is over: nothing more is sent for it" })
      expect(records).toMatchObject([{ tool: "hang", fate: "dispatched" }])
      expect(link.requests.pending.size).toBe(1)
      yield* Effect.promise(() => link.client.close())
      expect(yield* Effect.promise(() => underWay)).toBeInstanceOf(Error)
    }).pipe(Effect.scoped)
  )

  it.live("waits for as long as its caller does, and leaves no timer", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      yield* timers
      const { client: view, requests: records } = CallView.call(link.requests, link.client)
      const caller = new AbortController()
      const ended = view.callTool(hang, undefined, { signal: caller.signal }).catch((error: unknown) => error)
      yield* Effect.promise(() => vi.advanceTimersByTimeAsync(24 * 3_600_000))
      expect(link.requests.pending.size).toBe(1)
      expect(records).toMatchObject([{ fate: "dispatched", evidence: undefined }])
      caller.abort()
      yield* Effect.promise(() => ended)
      expect(vi.getTimerCount()).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("leaves the caller the timeout that it sets", () =>
    Effect.gen(function* () {
      const link = yield* connect()
      yield* timers
      const { client: view } = CallView.call(link.requests, link.client)
      const ended = view.callTool(hang, undefined, { timeout: 5000 }).catch((error: unknown) => error)
      yield* Effect.promise(() => vi.advanceTimersByTimeAsync(4999))
      expect(link.requests.pending.size).toBe(1)
      yield* Effect.promise(() => vi.advanceTimersByTimeAsync(1))
      expect(yield* Effect.promise(() => ended)).toMatchObject({ message: expect.stringContaining("timed out") })
      expect(link.requests.pending.size).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("costs microseconds", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* connect()
      // Everything but the sending: what the view adds is creating it, recording, and the request through it.
      const request = client.request
      const answer = Promise.resolve<never>({} as never)
      client.request = () => answer
      const rounds = 200_000
      const repeat = async (count: number, f: () => unknown) => {
        for (let i = 0; i < count; i++) {
          f()
          // what is settled is let go
          if (i % 1000 === 0) await answer
        }
      }
      const time = (f: () => unknown) =>
        Effect.promise(async () => {
          await repeat(20_000, f)
          const began = process.cpuUsage()
          await repeat(rounds, f)
          // of the processor: a machine that others use as well does not change it
          const { system, user } = process.cpuUsage(began)
          return (user + system) / rounds
        })
      let recorded = 0
      const bare = yield* time(() => void client.ping())
      const viewed = yield* time(() => {
        const view = CallView.call(requests, client)
        void view.client.ping()
        recorded += view.requests.length
      })
      client.request = request
      console.log(`measured: a call through the view costs ${(viewed - bare).toFixed(2)} µs more than a bare one`)
      expect(recorded).toBe(220_000)
      expect(viewed - bare).toBeLessThan(10)
    }).pipe(Effect.scoped)
  )
})

describe("the client that is made where the user makes none", () => {
  it.live("gives up a schema that takes too long to check, and then goes on", () =>
    Effect.gen(function* () {
      const mcp = new McpServer({ name: "test", version: "1.0.0" }, { capabilities: { tools: {} } })
      const outputSchema = { type: "object" as const, properties: { text: { type: "string", pattern: "^(a|a)*$" } } }
      mcp.server.setRequestHandler(ListToolsRequestSchema, () => ({
        tools: [{ name: "slow", inputSchema: { type: "object" }, outputSchema }]
      }))
      let text = `${"a".repeat(40)}!`
      mcp.server.setRequestHandler(CallToolRequestSchema, () => ({ content: [], structuredContent: { text } }))
      const { client, requests } = yield* connectAs(CallView.kind(), mcp)
      yield* Effect.promise(() => client.listTools())
      const { client: view } = CallView.call(requests, client)
      const slow = () => Effect.promise(() => view.callTool({ name: "slow" }).catch((error: unknown) => error))
      expect(yield* slow()).toMatchObject({ message: expect.stringContaining("took longer than 500 ms") })
      text = "aaa"
      expect(yield* slow()).toEqual({ content: [], structuredContent: { text } })
    }).pipe(Effect.scoped)
  )
})
