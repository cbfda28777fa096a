/** The client as one call sees it. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Effect } from "effect"
import { vi } from "vitest"
import { CallView } from "../src/index.ts"
import { connect } from "./support.ts"

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
      client.request = () => new Promise(() => {})
      const rounds = 200_000
      const time = (f: () => unknown) => {
        for (let i = 0; i < 20_000; i++) f()
        const began = performance.now()
        for (let i = 0; i < rounds; i++) f()
        return ((performance.now() - began) / rounds) * 1000
      }
      const bare = time(() => void client.ping())
      const viewed = time(() => void CallView.call(requests, client).client.ping())
      client.request = request
      console.log(`measured: a call through the view costs ${(viewed - bare).toFixed(2)} µs more than a bare one`)
      expect(viewed - bare).toBeLessThan(10)
    }).pipe(Effect.scoped)
  )
})
