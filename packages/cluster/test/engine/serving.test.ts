/** What another process asks over a connection, and what it is answered: calls, what is not understood, and what becomes of what is under way. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Exit, Layer, Queue, Scope } from "effect"
import { ShardId, Sharding } from "effect/cluster"
import * as CallCodec from "../../src/internal/engine/callCodec.ts"
import * as Connections from "../../src/internal/engine/connections.ts"
import * as Serving from "../../src/internal/engine/serving.ts"
import * as Wire from "../../src/internal/engine/wire.ts"
import { Calls } from "../../src/internal/owner/calls.ts"
import { Places } from "../../src/internal/owner/owner.ts"
import type { Place } from "../../src/internal/owner/place.ts"
import type { Request } from "../../src/internal/owner/perform.ts"
import { elsewhere } from "../support/elsewhere.ts"

/** A process that keeps one backend, whose tools are `echo`, `trace` and `hang`, and takes so many calls at once; and one that is connected to it. */
const worldOf = (most: number) =>
  Effect.gen(function* () {
    const cancelled = yield* Queue.unbounded<void>()
    const { audience, backend } = yield* elsewhere(
      TestServer.make({
        server: () => {
          const server = new McpServer({ name: "tools", version: "1" })
          server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
          server.registerTool("trace", {}, ({ _meta }) => ({
            content: [{ type: "text", text: String(_meta?.["traceparent"]) }]
          }))
          server.registerTool("hang", {}, ({ signal }) => {
            signal.addEventListener("abort", () => Queue.offerUnsafe(cancelled, undefined))
            return new Promise(() => {})
          })
          return server
        }
      }).peerConnector
    )
    yield* backend.awaitConnected
    const place: Place = {
      audience,
      backend: () => backend,
      calls: new Calls(most),
      isCertain: () => true,
      margin: () => 1,
      follow: Effect.void
    }
    let taken: Connections.Take | undefined
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Layer.buildWithScope(
      Serving.layer.pipe(
        Layer.provide([
          Layer.succeed(Places, new Map([["tools", place]])),
          Layer.mock(Sharding.Sharding, {
            getShardId: () => ShardId.make("default", 1),
            hasShardId: () => true,
            send: () => Effect.never
          }),
          Layer.succeed(Connections.Accepting, {
            accept: (accept) => Effect.sync(() => void (taken = accept))
          })
        ])
      ),
      scope
    )
    assert(taken !== undefined)
    const said = yield* Queue.unbounded<object>()
    const hearer = taken({
      send: (message) => Queue.offerUnsafe(said, message),
      end: () => hearer.ended(),
      stranger: undefined
    })
    return {
      said: Queue.take(said),
      cancelled: Queue.take(cancelled),
      ask: (message: unknown) => Effect.sync(() => hearer.received(message)),
      leave: Effect.sync(hearer.ended),
      end: Scope.close(scope, Exit.void)
    }
  })
const world = worldOf(4)

const calling = (name: string): Request => ({
  kind: "request",
  method: "tools/call",
  params: JSON.stringify({ name, arguments: {} }),
  idempotent: false,
  caller: "other",
  label: 0,
  pin: undefined
})
const call = (id: number, name: string): Wire.Called => ({
  _tag: "Call",
  id,
  backend: "tools",
  requestId: "1",
  call: CallCodec.encode(calling(name))
})

const causeOf = (said: object) => JSON.stringify(Object(said).exit?.cause)

describe("a process that keeps a backend", () => {
  it.live("makes the calls of others, each answered under the number that it came with", () =>
    Effect.gen(function* () {
      const { ask, said } = yield* world
      yield* ask(call(7, "echo"))
      const answer = yield* said
      assert(Wire.isSaid(answer) && answer._tag === "Answer")
      assert.strictEqual(answer.requestId, 7)
      assert.include(answer.answer.json, "echo")
    })
  )

  it.live("tells the server of the trace of whoever calls", () =>
    Effect.gen(function* () {
      const { ask, said } = yield* world
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      yield* ask({ ...call(1, "trace"), span: { traceId, spanId: "b7ad6b7169203331", sampled: true } })
      assert.include(JSON.stringify(yield* said), `00-${traceId}-`)
    })
  )

  it.live("refuses what it does not keep, and more than it takes at once: neither is executed", () =>
    Effect.gen(function* () {
      const { ask, said } = yield* worldOf(1)
      yield* ask({ ...call(1, "echo"), backend: "other" })
      assert.include(JSON.stringify(yield* said), "NotKept")
      yield* ask(call(2, "hang"))
      yield* ask(call(3, "echo"))
      const refused = yield* said
      assert.include(causeOf(refused), "MailboxFull")
      assert.strictEqual(Object(refused).requestId, 3)
    })
  )

  it.live("says so where it does not understand, and goes on with the same connection", () =>
    Effect.gen(function* () {
      const { ask, said } = yield* world
      for (const message of [undefined, null, "text", [], {}, { _tag: "Call" }, { _tag: "Interrupt" }])
        yield* ask(message)
      for (const message of [
        { ...call(1, "echo"), call: { method: "tools/call" } },
        { ...call(1, "echo"), backend: undefined },
        { ...call(1, "echo"), requestId: "abc" },
        { ...call(1, "echo"), requestId: "" },
        { ...call(1, "echo"), requestId: "1".repeat(1000) },
        { _tag: "Unheard", id: 5 },
        { _tag: "Request", id: 2, tag: "Effect", payload: { request: "text" } },
        { _tag: "Request", id: 3, tag: "Stream", payload: null }
      ]) {
        yield* ask(message)
        const refused = yield* said
        assert.strictEqual(Object(refused).requestId, message.id)
        assert.include(causeOf(refused), "Die")
      }
      yield* ask({ _tag: "Request", tag: "Envelope", payload: "text" })
      yield* ask({ _tag: "Request", id: 4, tag: "Ping", payload: null })
      assert.deepStrictEqual(yield* said, { _tag: "Exit", requestId: 4, exit: { _tag: "Success", value: null } })
    })
  )

  it.live.each([call(1, "echo"), { _tag: "Request", id: 1, tag: "Ping", payload: null }, { _tag: "Unheard", id: 1 }])(
    "ends the connection of whoever uses a number twice, and answers nothing under it: %j",
    (second) =>
      Effect.gen(function* () {
        const { ask, cancelled, said } = yield* world
        yield* ask(call(1, "hang"))
        // the server has it
        yield* ask(call(2, "echo"))
        yield* said
        yield* ask(second)
        yield* cancelled
        yield* ask({ _tag: "Request", id: 3, tag: "Ping", payload: null })
        assert.strictEqual(Object(yield* said).requestId, 3)
      })
  )

  it.live.each(["by whoever made it", "by the end of the connection", "by the end of the process"] as const)(
    "breaks off a call that is ended %s, and answers it no more",
    (how) =>
      Effect.gen(function* () {
        const { ask, cancelled, end, leave, said } = yield* world
        yield* ask(call(1, "hang"))
        // the server has it
        yield* ask(call(2, "echo"))
        yield* said
        if (how === "by whoever made it") yield* ask({ _tag: "Interrupt", requestId: 1 })
        else yield* how === "by the end of the connection" ? leave : end
        yield* cancelled
        yield* ask({ _tag: "Request", id: 3, tag: "Ping", payload: null })
        assert.strictEqual(Object(yield* said).requestId, 3)
      })
  )
})
