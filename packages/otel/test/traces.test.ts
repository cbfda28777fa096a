/** The core's spans on their way to a collector, by Effect's own OTLP exporter. */
import { assert, describe, it } from "@effect/vitest"
import { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Fiber, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { createServer } from "node:http"

interface Sent {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status: { readonly code: number; readonly message?: string }
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: object }>
}

/** A collector of traces that keeps the bodies it got. */
const collector = Effect.gen(function* () {
  const bodies: Array<string> = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (part: Buffer) => (body += part.toString()))
    request.on("end", () => {
      bodies.push(body)
      response.writeHead(200, { "content-type": "application/json", connection: "close" }).end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  assert(typeof address === "object" && address !== null)
  const spans = () =>
    bodies.flatMap((body): ReadonlyArray<Sent> => JSON.parse(body).resourceSpans[0].scopeSpans[0].spans)
  return { url: `http://127.0.0.1:${address.port}/v1/traces`, bodies, spans }
})

const errorStatus = 2
const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

describe("the spans at a collector", () => {
  it.live("link a call to the attempt that opened its session, and say why something failed and no more", () =>
    Effect.gen(function* () {
      const { bodies, spans, url } = yield* collector
      const server = ScriptedServer.make()
      const died = { summary: "exit code 1", output: ["SECRET of the server"] }
      const exporter = OtlpTracer.layer({ url, resource: { serviceName: "app" } }).pipe(
        Layer.provide(OtlpSerialization.layerJson),
        Layer.provide(FetchHttpClient.layer)
      )
      yield* Effect.gen(function* () {
        const backend = yield* Backend.make({
          id: "scripted",
          connector: server.connector,
          policy: { spans: true, stableAfter: 0, circuit: { failures: 1 } }
        })
        yield* backend.use(echo)
        yield* backend.probe
        yield* Effect.flip(backend.use(() => Promise.reject(new Error("SECRET of the callback"))))
        server.script.call = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
        server.script.connect = ScriptedServer.unreachable("process_exit", died)
        server.kill("process_exit", died)
        yield* Fiber.join(call)
        yield* backend.changes.pipe(
          Stream.takeUntil(({ _tag }) => _tag === "CircuitOpen"),
          Stream.runDrain
        )
      }).pipe(Effect.scoped, Effect.provide(exporter))

      const named = (name: string) => spans().filter((span) => span.name === `vmcp_keepalive.${name}`)
      const [connect, again] = named("connect")
      const [ok, failed, unknown] = named("call")
      const [probe] = named("probe").slice(-1)
      assert(connect && again && ok && failed && unknown && probe)
      const opened = { traceId: connect.traceId, spanId: connect.spanId }
      for (const { links } of [ok, failed, unknown, probe]) {
        assert.deepStrictEqual(
          links.map(({ spanId, traceId }) => ({ traceId, spanId })),
          [opened]
        )
      }
      assert.notStrictEqual(ok.traceId, connect.traceId)
      assert.isTrue([connect, ok, probe].every(({ status }) => status.code !== errorStatus))
      assert.deepStrictEqual(
        [failed, unknown, again].map(({ status }) => [status.code, status.message]),
        [
          [errorStatus, "CallFailed"],
          [errorStatus, "OutcomeUnknown (process_exit)"],
          [errorStatus, "process_exit"]
        ]
      )
      assert.deepInclude(Object.fromEntries(ok.attributes.map(({ key, value }) => [key, Object.values(value)[0]])), {
        backend_id: "scripted"
      })
      assert.notInclude(bodies.join(), "SECRET")
    }).pipe(Effect.scoped)
  )
})
