/**
 * What a test of an app sees with a `TestServer` is what it would see with a real server over a real transport: the same harm comes to
 * both, and the states, the error of the call and the count of executions are the same.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, type BackendError, type Connector, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Fault, FaultProxy, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Effect, Fiber, Schedule, type Scope } from "effect"

const policy: KeepalivePolicy.Options = {
  interval: "1 hour",
  stableAfter: 0,
  // longer than a real server takes to start; a call does not wait at all where the next attempt is due later
  waitForSession: "5 seconds",
  backoff: { initial: "10 seconds", factor: 1 },
  circuit: "none"
}

/** A server that can be called and harmed. */
interface Subject {
  readonly connector: Connector.Connector<Client>
  /** a call that is answered at once */
  readonly echo: Parameters<Client["callTool"]>[0]
  /** a call that is not */
  readonly slow: Parameters<Client["callTool"]>[0]
  readonly harm: Effect.Effect<unknown>
  readonly executed: Effect.Effect<number>
}

/** What is seen of a backend. */
interface Seen {
  readonly states: ReadonlyArray<string>
  readonly error: unknown
  readonly executed: number
}

const told = (error: BackendError.CallError) => ({
  tag: error._tag,
  reason: error.reason,
  summary: "detail" in error ? error.detail?.summary : undefined
})

const observe = (
  subject: Subject,
  body: (backend: Backend.Backend<Client>) => Effect.Effect<unknown, BackendError.CallError>
): Effect.Effect<Seen, never, Scope.Scope> =>
  Effect.gen(function* () {
    const states: Array<string> = []
    const backend = yield* Effect.orDie(
      Backend.make({ id: "subject", connector: subject.connector, policy: { ...policy, connect: "lazy" } })
    ).pipe(
      Effect.provide(
        KeepaliveEvent.layerObserver((event) => {
          if (event._tag === "StateChanged") states.push(event.to._tag)
        })
      )
    )
    const error = yield* Effect.match(body(backend), { onFailure: told, onSuccess: () => undefined })
    return { states: [...states], error, executed: yield* settled(subject.executed) }
  })

/** A caller may be told of its outcome before the server has begun: what it executes is read once it is the same for a while. */
const settled = (executed: Effect.Effect<number>) =>
  Effect.gen(function* () {
    let before = yield* executed
    for (let same = 0; same < 5;) {
      yield* Effect.sleep("20 millis")
      const now = yield* executed
      same = now === before ? same + 1 : 0
      before = now
    }
    return before
  })

/** A test server with the tools `echo` and `slow`. */
const testing = (harm: (server: TestServer.TestServer) => Effect.Effect<unknown>): Subject => {
  const server = TestServer.make({
    server: () => {
      const mcp = new Server({ name: "test", version: "1.0.0" }, { capabilities: { tools: {} } })
      mcp.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }))
      mcp.setRequestHandler(CallToolRequestSchema, ({ params }) =>
        params.name === "echo" ? { content: [] } : new Promise(() => {})
      )
      return mcp
    }
  })
  return {
    connector: server.connector,
    echo: { name: "echo" },
    slow: { name: "slow" },
    harm: harm(server),
    executed: Effect.map(server.calls, ({ length }) => length)
  }
}

/** A server of ours over HTTP, behind a proxy. */
const http = (
  harm: (server: ScriptedServer.ScriptedServer, proxy: FaultProxy.FaultProxy) => Effect.Effect<unknown>
): Effect.Effect<Subject, never, Scope.Scope> =>
  Effect.orDie(
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const proxy = yield* FaultProxy.make({ target: { port: server.port } })
      return {
        connector: HttpConnector.make({ url: `${proxy.url}/mcp` }),
        echo: server.echo("hi"),
        slow: server.slow(30),
        harm: harm(server, proxy),
        executed: Effect.map(server.executions, ({ length }) => length)
      }
    })
  )

/** Calls, is harmed, calls again. */
const callAfterwards = (subject: Subject) =>
  observe(subject, (backend) =>
    Effect.gen(function* () {
      yield* backend.use((client) => client.callTool(subject.echo))
      yield* subject.harm
      yield* backend.use((client) => client.callTool(subject.echo))
    })
  )

/** Is harmed, and calls. */
const callFirst = (subject: Subject) =>
  observe(subject, (backend) =>
    Effect.andThen(
      subject.harm,
      backend.use((client) => client.callTool(subject.echo))
    )
  )

/** Is harmed while a call is executed. */
const callMeanwhile = (subject: Subject) =>
  observe(subject, (backend) =>
    Effect.gen(function* () {
      yield* backend.use((client) => client.callTool(subject.echo))
      const before = yield* subject.executed
      const call = yield* Effect.forkChild(backend.use((client) => client.callTool(subject.slow)))
      yield* Effect.repeat(subject.executed, { until: (now) => now > before, schedule: Schedule.spaced("10 millis") })
      yield* subject.harm
      yield* Fiber.join(call)
    })
  )

describe("a test server is seen as a real one", { timeout: 60_000 }, () => {
  it.live("that forgets its sessions", () =>
    Effect.gen(function* () {
      const seen = yield* callAfterwards(testing((server) => server.forget))
      const real = yield* http((server) => server.control(ScriptedServer.Control.ExpireSessions()))
      assert.deepStrictEqual(seen, yield* callAfterwards(real))
      assert.deepStrictEqual(seen, {
        states: ["Connecting", "Connected", "Connecting", "Connected"],
        error: undefined,
        executed: 2
      })
    })
  )

  it.live("whose answer is lost", () =>
    Effect.gen(function* () {
      const seen = yield* callAfterwards(testing((server) => server.dropAnswer()))
      const real = yield* http((_, proxy) => proxy.inject(Fault.CutMidChunk({ on: { rpc: "tools/call" }, times: 1 })))
      assert.deepStrictEqual(seen, yield* callAfterwards(real))
      assert.deepInclude(seen, {
        error: { tag: "OutcomeUnknown", reason: "stream_cut", summary: undefined },
        executed: 2
      })
    })
  )

  const refusals = [
    ["auth", 401],
    ["busy", 429],
    ["http_4xx", 404],
    ["http_5xx", 500]
  ] as const

  it.live.each(refusals)("that refuses sessions: %s", ([reason, status]) =>
    Effect.gen(function* () {
      const seen = yield* callFirst(testing((server) => server.refuse(reason)))
      const real = yield* http((server) =>
        server.react("initialize", ScriptedServer.Reaction.Status({ status, headers: {} }))
      )
      assert.deepStrictEqual(seen, yield* callFirst(real))
      assert.deepInclude(seen, { executed: 0 })
      assert.deepInclude(seen.error, { reason, summary: `HTTP ${status}` })
    })
  )

  it.live("that nobody can connect to", () =>
    Effect.gen(function* () {
      const seen = yield* callFirst(testing((server) => server.refuse()))
      const real: Subject = {
        ...testing(() => Effect.void),
        connector: HttpConnector.make({ url: "http://127.0.0.1:1/mcp" })
      }
      assert.deepStrictEqual(seen, yield* callFirst(real))
      assert.deepInclude(seen.error, { reason: "refused", summary: "ECONNREFUSED on connect" })
    })
  )

  it.live("that dies under a call", () =>
    Effect.gen(function* () {
      const seen = yield* callMeanwhile(testing((server) => server.kill()))
      const server = yield* StdioServers.scripted()
      const real: Subject = {
        connector: StdioConnector.make({ command: server.command, args: server.args }),
        echo: server.echo("hi"),
        // it kills itself
        slow: { name: "kill", arguments: {} },
        harm: Effect.void,
        executed: Effect.map(server.executions, ({ length }) => length)
      }
      assert.deepStrictEqual(seen, yield* callMeanwhile(real))
    })
  )
})
