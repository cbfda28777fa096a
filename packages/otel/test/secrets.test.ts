/** What must be in nothing that an operator sees: planted everywhere, looked for everywhere, over both transports. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, type Connector, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Cause, Effect, Exit, Inspectable, Layer, Logger, Redacted, Tracer } from "effect"
import { inspect } from "node:util"
import { KeepaliveLog, KeepaliveMetrics } from "../src/index.ts"

const secret = "hunter2"

const policy = {
  timeout: "300 millis",
  confirmInterval: "100 millis",
  waitForSession: "200 millis",
  backoff: { initial: "50 millis" },
  circuit: { failures: 3, openFor: "200 millis" },
  stableAfter: 0,
  spans: true
} as const

/** Everything that an operator can see of a backend while `body` does it harm. */
const seen = <R>(
  connector: Connector.Connector<Client, R>,
  body: (backend: Backend.Backend<Client>) => Effect.Effect<unknown, unknown, R>
) =>
  Effect.gen(function* () {
    const events: Array<unknown> = []
    const lines: Array<unknown> = []
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const logger = Logger.make((entry) => void lines.push(Logger.formatStructured.log(entry)))
    const telemetry = KeepaliveLog.layer().pipe(
      Layer.provideMerge(KeepaliveMetrics.layerPrometheus({ port: 0, conventions: true })),
      Layer.provideMerge(KeepaliveEvent.layerObserver((event) => void events.push(event))),
      Layer.provideMerge(Logger.layer([logger]))
    )
    const page = yield* Effect.gen(function* () {
      const { url } = yield* KeepaliveMetrics.PrometheusEndpoint
      const backend = yield* Backend.make({ id: "secretive", connector, policy })
      // a call waits for less than a machine that is busy may take to connect
      yield* backend.awaitConnected
      yield* body(backend)
      return yield* Effect.promise(async () => (await fetch(url, { headers: { connection: "close" } })).text())
    }).pipe(Effect.scoped, Effect.provide(telemetry), Effect.withTracer(tracer))
    const told = spans.map(({ attributes, events, name, status }) => ({
      name,
      attributes: [...attributes],
      events,
      failure:
        status._tag === "Ended" && Exit.isFailure(status.exit) ? Inspectable.toStringUnknown(status.exit.cause) : ""
    }))
    return { page, events: JSON.stringify(events), lines: JSON.stringify(lines), spans: JSON.stringify(told, plain) }
  })

const plain = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value)

/** What the caller gets, with all that is in it. */
const shown = (exit: Exit.Exit<unknown, unknown>) =>
  inspect(Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause), { depth: 10 })

const call = (backend: Backend.Backend<Client>, name: string, args: Record<string, unknown>) =>
  Effect.exit(backend.use((client, signal) => client.callTool({ name, arguments: args }, undefined, { signal })))

describe("no metric, span, log line or event has in it", () => {
  it.live("a URL, a header, a session id, an argument or a word of a server over HTTP", () =>
    Effect.gen(function* () {
      const authorization = `Bearer ${secret}-token`
      const server = yield* ScriptedServer.make({ authorization })
      const proxy = yield* FaultProxy.make({ target: server })
      const connector = HttpConnector.make({
        url: `${proxy.url}/mcp?key=${secret}-query`,
        headers: { Authorization: Redacted.make(authorization) }
      })
      const { events, lines, page, spans } = yield* seen(connector, (backend) =>
        Effect.gen(function* () {
          const echo = call(backend, "echo", { message: `${secret}-argument` })
          assert.include(shown(yield* echo), `${secret}-argument`)
          yield* server.react(
            "tools/call",
            ScriptedServer.Reaction.RpcError({ code: -32603, message: `${secret}-error` })
          )
          assert.include(shown(yield* echo), `${secret}-error`)
          yield* server.control(ScriptedServer.Control.ForgetScripts())
          for (const [fault, words] of [
            [Fault.Answer({ status: 500, body: `${secret}-body` }), ["OutcomeUnknown", "http_5xx"]],
            [Fault.Answer({ status: 401, body: `${secret}-body` }), ["CallFailed", "auth"]],
            [Fault.CutMidChunk({ on: { rpc: "tools/call" } }), ["OutcomeUnknown", "stream_cut"]],
            [Fault.Refuse(), []]
          ] as const) {
            const injected = yield* proxy.inject(fault)
            const exit = yield* echo
            assert.isTrue(Exit.isFailure(exit))
            const failed = shown(exit)
            for (const word of words) assert.include(failed, word)
            yield* backend.probe.pipe(Effect.exit)
            yield* injected.heal
            yield* backend.reset
            yield* backend.awaitConnected
            // so that no probe meets the next fault before the call does
            yield* backend.probe
          }
        })
      )
      for (const reason of ["http_5xx", "auth", "refused"]) assert.include(events, `"reason":"${reason}"`)
      const sessions = (yield* proxy.requests).flatMap(({ sessionId }) => (sessionId === undefined ? [] : [sessionId]))
      assert.isAbove(sessions.length, 0)
      for (const text of [page, events, lines, spans]) {
        assert.include(text, "secretive")
        for (const word of [secret, "127.0.0.1", ...sessions]) assert.notInclude(text, word)
      }
    }).pipe(Effect.scoped)
  )

  it.live("a variable, an argument or a line of stderr of a server over stdio", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted({ stderr: [`${secret}-line`] })
      const connector = StdioConnector.make({
        command: server.command,
        args: server.args,
        env: { TOKEN: Redacted.make(`${secret}-variable`) },
        shutdown: { end: "200 millis", term: "200 millis" }
      })
      const { events, lines, page, spans } = yield* seen(connector, (backend) =>
        Effect.gen(function* () {
          yield* call(backend, "echo", { message: `${secret}-argument` })
          yield* call(backend, "fail", { message: `${secret}-argument` })
          const exit = yield* call(backend, "exit", { code: 3 })
          // so it was there to be shown
          assert.include(shown(exit), `${secret}-line`)
          yield* backend.awaitConnected
          yield* call(backend, "kill", { signal: "SIGKILL" })
          yield* backend.awaitConnected
        })
      )
      for (const text of [page, events, lines, spans]) {
        assert.include(text, "secretive")
        assert.notInclude(text, secret)
      }
      assert.include(events, "exit code 3")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
