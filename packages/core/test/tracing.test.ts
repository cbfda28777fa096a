/** The spans of attempts, probes and calls, and what requests carry of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

/** A tracer that keeps its spans. */
const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer, named: (name: string) => spans.filter((span) => span.name === `vmcp_keepalive.${name}`) }
}

/** The connector, and the traceparents of the calls that it was asked for. */
const listened = (server: ScriptedServer.ScriptedServer) => {
  const heard: Array<string | undefined> = []
  const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
    ...server.connector,
    open: (host) =>
      Effect.map(server.connector.open(host), (session) => ({
        ...session,
        call: (traceparent) => {
          heard.push(traceparent)
          return session.call(traceparent)
        }
      }))
  }
  return { connector, heard }
}

const make = (connector: Connector.Connector<ScriptedServer.ScriptedClient>, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector, policy: { interval: "30 seconds", stableAfter: 0, ...policy } })

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const failureOf = ({ status }: Tracer.NativeSpan): string | undefined => {
  assert(status._tag === "Ended")
  if (Exit.isSuccess(status.exit)) return undefined
  const error = Option.getOrUndefined(Exit.findErrorOption(status.exit))
  return error instanceof Error ? `${error.name}: ${error.message}` : "interrupted"
}

describe("spans", () => {
  it.effect("are made of nothing unless the policy asks for them", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { connector, heard } = listened(ScriptedServer.make())
      yield* Effect.gen(function* () {
        const backend = yield* make(connector)
        yield* backend.use(echo)
        yield* TestClock.adjust("5 minutes")
      }).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(spans, [])
      assert.deepStrictEqual(heard, [undefined])
    })
  )

  it.effect("of a call lie below the caller's, and lead to the attempt that opened its session", () =>
    Effect.gen(function* () {
      const { named, tracer } = recording()
      const { connector, heard } = listened(ScriptedServer.make())
      yield* Effect.gen(function* () {
        const backend = yield* make(connector, { spans: true })
        yield* Effect.withSpan(backend.use(echo), "agent")
        yield* backend.reconnect
        yield* backend.use(echo)
      }).pipe(Effect.withSpan("app"), Effect.withTracer(tracer))

      const [first, second] = named("connect")
      const [one, two] = named("call")
      assert(first && second && one && two)
      assert.isTrue(Option.isNone(first.parent))
      assert.strictEqual(Option.getOrUndefined(one.parent)?._tag, "Span")
      assert.deepStrictEqual(
        [one, two].map(({ links }) => links.map(({ span }) => span.spanId)),
        [[first.spanId], [second.spanId]]
      )
      assert.deepStrictEqual(Object.fromEntries(two.attributes), { backend_id: "scripted", generation: 2 })
      assert.deepStrictEqual([first, second, one, two].map(failureOf), [undefined, undefined, undefined, undefined])
      assert.strictEqual(heard[1], `00-${two.traceId}-${two.spanId}-01`)
    })
  )

  it.effect("of a failure have its reason, and nothing that a server or a callback said", () =>
    Effect.gen(function* () {
      const { named, spans, tracer } = recording()
      const server = ScriptedServer.make()
      const secret = { summary: "exit code 1", output: ["SECRET"] }
      yield* Effect.gen(function* () {
        const backend = yield* make(server.connector, { spans: true, circuit: { failures: 2 } })
        yield* backend.awaitConnected
        yield* Effect.flip(backend.use(() => Promise.reject(new Error("SECRET"))))
        server.script.latency = "1 minute"
        const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
        server.script.latency = 0
        server.script.connect = ScriptedServer.unreachable("process_exit", secret)
        server.kill("process_exit", secret)
        yield* Fiber.join(call)
        yield* TestClock.adjust("10 seconds")
        yield* Effect.flip(backend.use(echo))
      }).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(named("call").map(failureOf), [
        "KeepaliveFailure: CallFailed",
        "KeepaliveFailure: OutcomeUnknown (process_exit)",
        "KeepaliveFailure: CallRejected (process_exit)"
      ])
      assert.deepStrictEqual(named("connect").map(failureOf), [undefined, "KeepaliveFailure: process_exit"])
      const told = spans.map(({ attributes, status }) => [[...attributes], status])
      assert.notInclude(
        JSON.stringify(told, (_, value: unknown) => (typeof value === "bigint" ? 0 : value)),
        "SECRET"
      )
    })
  )

  it.effect("of a probe stand alone, and lead to the session that was asked", () =>
    Effect.gen(function* () {
      const { named, tracer } = recording()
      const server = ScriptedServer.make()
      yield* Effect.gen(function* () {
        yield* make(server.connector, { spans: true, failureThreshold: 3 })
        yield* TestClock.adjust("1 minute")
        server.script.probe = ScriptedServer.unreachable("reset")
        yield* TestClock.adjust("35 seconds")
      }).pipe(Effect.withSpan("app"), Effect.withTracer(tracer))
      const probes = named("probe")
      const [connect] = named("connect")
      assert.isTrue(probes.every(({ parent }) => Option.isNone(parent)))
      assert.strictEqual(probes[0]?.links[0]?.span.spanId, connect?.spanId)
      assert.deepStrictEqual([...new Set(probes.map(failureOf))], [undefined, "KeepaliveFailure: reset"])
    })
  )

  it.effect("of an interrupted call end with it", () =>
    Effect.gen(function* () {
      const { named, tracer } = recording()
      const server = ScriptedServer.make()
      server.script.call = () => ScriptedServer.silence
      yield* Effect.gen(function* () {
        const backend = yield* make(server.connector, { spans: true })
        yield* backend.awaitConnected
        const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
        yield* Fiber.interrupt(call)
      }).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(named("call").map(failureOf), ["interrupted"])
    })
  )
})

describe("a request", () => {
  it.effect("carries the span of its caller also where the policy makes none", () =>
    Effect.gen(function* () {
      const { connector, heard } = listened(ScriptedServer.make())
      const span = Tracer.externalSpan({ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" })
      yield* Effect.gen(function* () {
        const backend = yield* make(connector)
        yield* Effect.withParentSpan(backend.use(echo), span)
      })
      assert.deepStrictEqual(heard, ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
    })
  )
})
