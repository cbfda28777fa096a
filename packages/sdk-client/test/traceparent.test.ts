/** What requests carry of the span that they belong to (MCP SEP-414). */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Connector, Evidence } from "@vmcp-keepalive/core"
import { Effect, Tracer } from "effect"
import { Ask, CallView } from "../src/index.ts"
import { connect, makeServer } from "./support.ts"

const span = Tracer.externalSpan({ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" })
const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/** A server that keeps the `_meta` of the calls that it gets. */
const keeping = Effect.gen(function* () {
  const metas: Array<unknown> = []
  const server = makeServer()
  server.registerTool("keep", {}, ({ _meta }) => {
    metas.push(_meta)
    return { content: [] }
  })
  return { ...(yield* connect(server)), metas }
})

describe("a request of a call", () => {
  it.live("carries the traceparent of the call, beside what the caller and the SDK put into `_meta`", () =>
    Effect.gen(function* () {
      const { client, metas, requests } = yield* keeping
      const { client: view } = CallView.call(requests, client, traceparent)
      yield* Effect.promise(async () => {
        await view.callTool({ name: "keep" })
        await view.callTool({ name: "keep", _meta: { own: 1 } }, undefined, { onprogress: () => {} })
        await view.callTool({ name: "keep", _meta: { traceparent: "the caller's" } })
      })
      expect(metas).toEqual([
        { traceparent },
        { traceparent, own: 1, progressToken: expect.any(Number) },
        { traceparent: "the caller's" }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("is what the caller made of it where no span is active", () =>
    Effect.gen(function* () {
      const { client, metas, requests } = yield* keeping
      yield* Effect.promise(() => CallView.call(requests, client).client.callTool({ name: "keep" }))
      expect(metas).toEqual([undefined])
    }).pipe(Effect.scoped)
  )
})

describe("a request of the transport's own", () => {
  it.live("carries the span that is active", () =>
    Effect.gen(function* () {
      const { metas, requests } = yield* keeping
      const probe = Ask.probe(requests, { _tag: "tool", name: "keep", arguments: {} })
      expect(yield* Effect.withParentSpan(probe, span)).toEqual(Evidence.answered)
      expect(yield* probe).toEqual(Evidence.answered)
      expect(metas).toEqual([{ traceparent: Connector.traceparent(span) }, undefined])
      expect(Connector.traceparent(span)).toBe(traceparent)
    }).pipe(Effect.scoped)
  )

  it.live("carries no ids that W3C Trace Context does not allow", () =>
    Effect.gen(function* () {
      const { metas, requests } = yield* keeping
      const probe = Ask.probe(requests, { _tag: "tool", name: "keep", arguments: {} })
      const { spanId, traceId } = span
      const spans = [
        { traceId: "request-17", spanId },
        { traceId, spanId: "17" },
        { traceId: "0".repeat(32), spanId },
        { traceId, spanId: "0".repeat(16) },
        { traceId: traceId.toUpperCase(), spanId }
      ]
      for (const ids of spans) yield* Effect.withParentSpan(probe, Tracer.externalSpan(ids))
      yield* Effect.withTracerEnabled(Effect.withSpan(probe, "disabled"), false)
      expect(metas).toEqual(Array(spans.length + 1).fill(undefined))
      expect(Connector.traceparent(Tracer.externalSpan({ traceId: "a3ce929d0e0e4736", spanId }))).toBe(
        `00-0000000000000000a3ce929d0e0e4736-${spanId}-01`
      )
    }).pipe(Effect.scoped)
  )
})
