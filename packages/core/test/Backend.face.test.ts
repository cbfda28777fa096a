/** What a backend is to whoever holds one: recognised, piped, shown and typed. */
import { inspect } from "node:util"
import { assert, describe, expectTypeOf, it, vi } from "@effect/vitest"
import { Effect, Fiber, Option, Schema, Stream } from "effect"
import { Backend, ConnectionState, type Connector } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const make = (server: ScriptedServer.ScriptedServer) =>
  Backend.make({ id: "github", connector: server.connector, policy: { connect: "lazy", circuit: { failures: 1 } } })

describe("a backend", () => {
  it.effect("is recognised, also by another copy of the package, and nothing else is", () =>
    Effect.gen(function* () {
      const backend: unknown = yield* make(ScriptedServer.make())
      assert.isTrue(Backend.isBackend(backend))
      vi.resetModules()
      const copy = yield* Effect.promise(() => import("../src/Backend.ts"))
      assert.notStrictEqual(copy.isBackend, Backend.isBackend)
      assert.isTrue(copy.isBackend(backend))
      const like = { id: "github", use: () => Effect.void, state: Effect.void }
      for (const other of [undefined, null, "github", 1, () => backend, {}, like, ScriptedServer.make().connector]) {
        assert.isFalse(Backend.isBackend(other))
      }
    })
  )

  it.effect("is piped into functions, from left to right", () =>
    Effect.gen(function* () {
      const backend = yield* make(ScriptedServer.make())
      const call = backend.pipe(
        (self) => self.use((client) => client.callTool("echo")),
        Effect.map((answer) => answer.toUpperCase())
      )
      assert.strictEqual(yield* call, "ECHO")
      assert.strictEqual(backend.pipe(), backend)
    })
  )

  it.effect("hands out methods that may be taken from it", () =>
    Effect.gen(function* () {
      const { pinned, use } = yield* make(ScriptedServer.make())
      assert.strictEqual(yield* use((client) => client.callTool("one")), "one")
      assert.strictEqual(yield* pinned((session) => session.use((client) => client.callTool("two"))), "two")
    })
  )

  it.effect("is its id and its state as JSON, which is read as the state is", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      const read = () => {
        const { state, ...rest } = JSON.parse(JSON.stringify(backend))
        assert.deepStrictEqual(rest, { _id: "Backend", id: "github" })
        return Schema.decodeUnknownOption(ConnectionState.Json)(state)
      }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(backend)), {
        _id: "Backend",
        id: "github",
        state: { _tag: "Idle", since: 0 }
      })
      // a state whose fields are undefined in part
      server.script.connect = ScriptedServer.silence
      const call = yield* Effect.forkScoped(backend.use((client) => client.callTool("echo")))
      yield* Effect.yieldNow
      const connecting = yield* backend.state
      assert.strictEqual(connecting._tag, "Connecting")
      assert.deepStrictEqual(read(), Option.some(connecting))
      yield* backend.isolate
      assert.strictEqual((yield* Fiber.await(call))._tag, "Failure")
      assert.deepStrictEqual(read(), Option.some(yield* backend.state))
    })
  )

  it.effect("is shown on a console as what it is, and in a text by its id and the name of its state", () =>
    Effect.gen(function* () {
      const backend = yield* make(ScriptedServer.make())
      assert.strictEqual(inspect(backend), "{ _id: 'Backend', id: 'github', state: { _tag: 'Idle', since: 0 } }")
      assert.strictEqual(String(backend), "Backend(github, Idle)")
      yield* backend.isolate
      assert.strictEqual(`${backend}`, "Backend(github, Isolated)")
    })
  )

  it.effect("shows nothing of its connector, its policy, its client, or what a server has written", () =>
    Effect.gen(function* () {
      const secret = "s3cr3t"
      const server = ScriptedServer.make()
      server.script.tools = [{ name: "look", readOnly: true, idempotent: true }]
      const connector = {
        ...server.connector,
        headers: { authorization: `Bearer ${secret}` },
        url: `https://mcp.example/?key=${secret}`
      }
      const backend = yield* Backend.make({
        id: "github",
        connector,
        policy: {
          probe: { method: "tool", tool: { name: "look", arguments: { token: secret } } },
          circuit: { failures: 1 },
          stableAfter: 0
        },
        setup: () => Effect.void
      })
      const shown = () => [
        JSON.stringify(backend),
        inspect(backend, { depth: null, showHidden: true }),
        inspect(backend, { customInspect: false, depth: null, showHidden: true }),
        String(backend)
      ]
      yield* backend.awaitConnected
      yield* backend.use((client) => client.callTool(secret))
      server.script.connect = ScriptedServer.unreachable("refused", { summary: undefined, output: [secret] })
      assert.isFalse(shown().join().includes(secret), "connected")
      server.kill("process_exit", { summary: undefined, output: [secret] })
      const isDown = ({ _tag }: ConnectionState.ConnectionState) => _tag === "CircuitOpen" || _tag === "Disconnected"
      assert.isTrue(Option.isSome(yield* backend.changes.pipe(Stream.filter(isDown), Stream.runHead)))
      assert.isFalse(shown().join().includes(secret), "after its server has died")
    })
  )

  it("is a backend of every type of which its client is one", () => {
    interface Animal {
      readonly name: string
    }
    interface Dog extends Animal {
      readonly bark: () => Promise<string>
    }
    expectTypeOf<Backend.Backend<Dog>>().toExtend<Backend.Backend<Animal>>()
    expectTypeOf<Backend.Backend<Dog>>().toExtend<Backend.Backend<unknown>>()
    expectTypeOf<Backend.Backend<Animal>>().not.toExtend<Backend.Backend<Dog>>()
    expectTypeOf<Connector.Connector<Dog>>().toExtend<Connector.Connector<Animal>>()
    expectTypeOf<Connector.Connector<Animal>>().not.toExtend<Connector.Connector<Dog>>()
    expectTypeOf<Backend.PinnedSession<Dog>>().toExtend<Backend.PinnedSession<Animal>>()
    expectTypeOf<Backend.PinnedSession<Animal>>().not.toExtend<Backend.PinnedSession<Dog>>()
  })
})

describe("options that are undefined", () => {
  it.effect("are as if they were left out, of the backend and of a call", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ exclusive: undefined, separateAnswers: undefined, stateful: undefined })
      const plain = ScriptedServer.make()
      assert.strictEqual(server.connector.exclusive, plain.connector.exclusive)
      const backend = yield* Backend.make({
        id: "github",
        connector: server.connector,
        policy: undefined,
        setup: undefined
      })
      yield* backend.awaitConnected
      assert.strictEqual(
        yield* backend.use((client) => client.callTool("echo", { signal: undefined }), { idempotent: undefined }),
        "echo"
      )
      server.script.call = () => ScriptedServer.cut
      const error = yield* Effect.flip(backend.use((client) => client.callTool("echo"), { idempotent: undefined }))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
    })
  )
})
