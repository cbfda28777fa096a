/** The server that a test writes: how it is made, what it may do by itself, and that nothing of it is left. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, type Connector } from "@vmcp-keepalive/core"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { TestServer } from "../../src/testing/index.ts"
import { charge, type Ledger, makeServer, start, stateOf, wait } from "./support.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const info = { name: "test", version: "1.0.0" }

describe("the server's factory", () => {
  it.effect("that throws fails the attempt, and the backend's errors say what it threw", () =>
    Effect.gen(function* () {
      let isBroken = true
      const ledger: Ledger = { charged: [], subscribed: [], waiting: [], aborted: 0 }
      const make = makeServer(ledger)
      const { backend } = yield* start(
        {},
        {
          server: () => {
            if (isBroken) throw new Error("no database")
            return make()
          }
        }
      )
      const call = yield* fork(Effect.flip(backend.use(charge(1))))
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(call), {
        _tag: "SessionUnavailable",
        reason: "process_exit",
        detail: { summary: "the server could not be made", output: ["no database"] }
      })
      isBroken = false
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* stateOf(backend), "Connected")
    })
  )

  it.effect("may take its time", () =>
    Effect.gen(function* () {
      let made: (server: McpServer) => void = () => {}
      const { backend } = yield* start({}, { server: () => new Promise((resolve) => (made = resolve)) })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* stateOf(backend), "Connecting")
      made(new McpServer(info))
      yield* backend.awaitConnected
    })
  )

  it.effect("makes one for each session, and those of several backends are apart", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start()
      const other = yield* Backend.make({ id: "other", connector: server.connector })
      yield* backend.use(charge(1))
      yield* other.use(charge(2))
      assert.deepStrictEqual(
        (yield* server.calls).map(({ arguments: { amount }, session }) => [amount, session]),
        [
          [1, 1],
          [2, 2]
        ]
      )
      assert.deepStrictEqual(yield* server.sessions, { attempts: 2, made: 2, open: 2 })
    })
  )
})

describe("the server", () => {
  it.effect("that closes its session by itself ends it: what is in flight is OutcomeUnknown", () =>
    Effect.gen(function* () {
      const servers: Array<McpServer> = []
      const { backend, server } = yield* start(
        { stableAfter: 0 },
        {
          server: () => {
            const mcp = new McpServer(info)
            mcp.registerTool("wait", {}, () => new Promise(() => {}))
            servers.push(mcp)
            return mcp
          }
        }
      )
      const call = yield* fork(Effect.flip(backend.use(wait)))
      yield* server.untilCalled("wait")
      yield* Effect.promise(async () => servers[0]?.close())
      assert.deepInclude(yield* Fiber.join(call), { _tag: "OutcomeUnknown", reason: "reset" })
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 2 })
      assert.strictEqual((yield* server.calls).length, 1)
    })
  )

  it.effect("may ask the client, and gets what the app's handlers answer", () =>
    Effect.gen(function* () {
      const { backend } = yield* start(
        {},
        {
          server: () => {
            const mcp = new McpServer(info)
            mcp.registerTool("ask", {}, async () => {
              const { content } = await mcp.server.createMessage({ messages: [], maxTokens: 1 })
              return { content: [content].flat().filter(({ type }) => type === "text") as [] }
            })
            return mcp
          },
          client: () => {
            const client = new Client(info, { capabilities: { sampling: {} } })
            client.setRequestHandler(CreateMessageRequestSchema, () => ({
              model: "none",
              role: "assistant",
              content: { type: "text", text: "42" }
            }))
            return client
          }
        }
      )
      const { content } = yield* backend.use((client) => client.callTool({ name: "ask" }))
      assert.deepStrictEqual(content, [{ type: "text", text: "42" }])
    })
  )

  it.effect("hears of a call that its caller gives up", () =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start()
      const call = yield* fork(backend.use(wait))
      yield* server.untilCalled("wait")
      yield* Fiber.interrupt(call)
      yield* Effect.yieldNow.pipe(Effect.repeat({ until: () => ledger.aborted > 0, times: 100 }))
      assert.strictEqual(ledger.aborted, 1)
      assert.strictEqual(yield* stateOf(backend), "Connected")
    })
  )

  const rungs = [
    ["ping", "ping", 0],
    ["list-tools", "list-tools", 0],
    ["options", "options", 0],
    ["tool", { method: "tool", tool: { name: "charge", arguments: { amount: 0 } } }, 1]
  ] as const

  it.effect.each(rungs)("answers a probe by %s, and none while it is frozen", ([, probe, charges]) =>
    Effect.gen(function* () {
      const { backend, ledger, server } = yield* start({ probe, timeout: "1 second" })
      yield* backend.awaitConnected
      ledger.charged.length = 0
      assert.deepInclude(yield* backend.probe, { _tag: "Connected" })
      assert.strictEqual(ledger.charged.length, charges)
      yield* server.freeze
      const asked = yield* fork(backend.probe)
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(asked), { _tag: "Unhealthy", reason: "timeout" })
    })
  )

  it.effect("without state for each session is not probed while nothing is in flight", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* start({ probe: "auto" }, { stateful: false })
      yield* backend.awaitConnected
      yield* server.freeze
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* stateOf(backend), "Connected")
    })
  )
})

describe("the end of the backend's scope", () => {
  it.effect("closes its session, on a frozen server when it thaws", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { backend, server } = yield* Scope.provide(start(), scope)
      yield* backend.awaitConnected
      yield* server.freeze
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* server.sessions).open, 1)
      yield* server.thaw
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* server.sessions).open, 0)
    })
  )
})

describe("the connector", () => {
  it("has the client of the SDK, without a cast", () => {
    const server = TestServer.make({ server: () => new McpServer(info) })
    const connector: Connector.Connector<Client> = server.connector
    assert.deepInclude(connector, { kind: "testing", exclusive: false, supportsOptions: true })
  })
})

describe("the guide's example of a test", () => {
  it("is the one that is run here", () => {
    const guide = readFileSync(new URL("../../../../docs/guides/testing.md", import.meta.url), "utf8")
    const example = readFileSync(new URL("example.test.ts", import.meta.url), "utf8")
    assert.include(guide, `\`\`\`ts\n${example}\`\`\``)
  })
})
