/** A server of the OpenAI Agents SDK, as agents use it. The types are pinned where that SDK is installed, in the examples. */
import { assert, describe, it } from "@effect/vitest"
import { McpServers, Ports, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Fiber, Layer, Schedule } from "effect"
import { ErrorAnswer } from "../src/index.ts"
import { type Options, toMcpServer } from "../src/OpenAiAgents.ts"
import { policy as quick } from "./support.ts"

const policy = { ...quick, waitForSession: "20 seconds", circuit: { failures: 1000, openFor: "1 second" } } as const

const serverOn = (options: Omit<Options, "services">) =>
  Effect.acquireRelease(
    Effect.sync(() => toMcpServer({ policy, ...options })),
    (server) => Effect.promise(() => server.close())
  )

const failing = (promise: () => Promise<unknown>) =>
  Effect.promise(() =>
    promise().then(
      () => assert.fail("it succeeded"),
      (error: unknown) => error
    )
  )

/** Waits until the server has executed so many calls. */
const executed = (server: { readonly executions: Effect.Effect<ReadonlyArray<unknown>> }, calls: number) =>
  Effect.repeat(
    Effect.map(server.executions, (all) => all.length >= calls),
    { until: (is) => is, schedule: Schedule.spaced("5 millis") }
  )

describe("a server of OpenAI Agents", () => {
  it.live(
    "goes on through the death of its server, and tells the model what became of a call",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const connector = HttpPeerConnector.make({ url: server.url })
        const mcp = yield* serverOn({ id: "scripted", connector })
        yield* Effect.promise(() => mcp.connect())
        const echo = () => Effect.promise(() => mcp.callTool("echo", { message: "x" }))
        const tools = yield* Effect.promise(() => mcp.listTools())
        assert.include(
          tools.map(({ name }) => name),
          "echo"
        )
        assert.deepStrictEqual(yield* echo(), [{ type: "text", text: "Echo: x" }])
        yield* server.restart
        assert.deepStrictEqual(yield* echo(), [{ type: "text", text: "Echo: x" }])
        const slow = yield* Effect.forkChild(failing(() => mcp.callTool("slow", { ms: 20_000 })))
        yield* executed(server, 3)
        yield* server.kill
        const error = yield* Effect.timeout(Fiber.join(slow), "5 seconds")
        assert.strictEqual(ErrorAnswer.dataOf(error)?.executed, "unknown")
        const told = yield* Effect.promise(() => mcp.errorFunction({ error }))
        assert.include(told, "whether it was executed is unknown")
        assert.notInclude(told, "try again")
        yield* server.start
        assert.deepStrictEqual(yield* echo(), [{ type: "text", text: "Echo: x" }])
        assert.deepStrictEqual(
          (yield* server.executions).map(({ tool }) => tool),
          ["echo", "echo", "slow", "echo"]
        )
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "connects while its server is down: lists and calls wait for it",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        yield* server.kill
        const mcp = yield* serverOn({ id: "scripted", connector: HttpPeerConnector.make({ url: server.url }) })
        yield* Effect.promise(() => mcp.connect())
        const listed = yield* Effect.forkChild(Effect.promise(() => mcp.listTools()))
        yield* server.start
        assert.isAbove((yield* Fiber.join(listed)).length, 0)
        assert.strictEqual(mcp.state._tag, "Connected")
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("says that a server which never was there cannot be reached, and asks it anew each time", () =>
    Effect.gen(function* () {
      const port = yield* Ports.free
      const connector = HttpPeerConnector.make({ url: `http://127.0.0.1:${port}/mcp` })
      const mcp = yield* serverOn({ id: "absent", connector, initializeTimeout: "200 millis" })
      yield* Effect.promise(() => mcp.connect())
      for (let time = 0; time < 2; time++) {
        const error = yield* failing(() => mcp.listTools())
        assert.strictEqual(ErrorAnswer.dataOf(error)?.executed, "no")
      }
    }).pipe(Effect.scoped)
  )

  it.live(
    "keeps its list of tools until it may have changed, if told to, and the last one while it cannot be reached",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const connector = HttpPeerConnector.make({ url: server.url })
        const mcp = yield* serverOn({
          id: "scripted",
          connector,
          cacheToolsList: true,
          policy: { ...policy, waitForSession: "100 millis" }
        })
        assert.isFalse(mcp.cacheToolsList)
        yield* Effect.promise(() => mcp.connect())
        const list = Effect.promise(() => mcp.listTools())
        // the host's own: the backend reads the list too, when it likes
        let lists = 0
        mcp.on("event", (event) => {
          if (event._tag === "CallSettled" && event.method === "tools/list") lists++
        })
        const first = yield* list
        assert.deepStrictEqual(yield* list, first)
        assert.strictEqual(lists, 1)
        yield* Effect.promise(() => mcp.invalidateToolsCache())
        assert.deepStrictEqual(yield* list, first)
        assert.strictEqual(lists, 2)
        const lost = new Promise<void>((resolve) => {
          const stop = mcp.on("change", ({ _tag }) => {
            if (_tag !== "Disconnected") return
            stop()
            resolve()
          })
        })
        yield* server.kill
        yield* Effect.promise(() => mcp.callTool("echo", {}).catch(() => {}))
        yield* Effect.promise(() => lost)
        yield* Effect.promise(() => mcp.invalidateToolsCache())
        assert.deepStrictEqual(yield* list, first)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("cancels a call by its signal, and the others go on", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const connector = StdioPeerConnector.make({ command: server.command, args: server.args })
      const mcp = yield* serverOn({ id: "scripted", connector })
      yield* Effect.promise(() => mcp.connect())
      const controller = new AbortController()
      const options = { signal: controller.signal }
      const slow = yield* Effect.forkChild(failing(() => mcp.callToolResult("slow", { ms: 20_000 }, null, options)))
      yield* executed(server, 1)
      controller.abort(new Error("enough"))
      assert.strictEqual(String(yield* Effect.timeout(Fiber.join(slow), "1 second")), "Error: enough")
      const before = yield* failing(() => mcp.callTool("echo", {}, null, options))
      assert.strictEqual(String(before), "Error: enough")
      const { content } = yield* Effect.promise(() => mcp.callToolResult("echo", { message: "y" }))
      assert.deepStrictEqual(content, [{ type: "text", text: "Echo: y" }])
      assert.strictEqual((yield* server.executions).length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("has resources, whole results, and can be connected again after its end", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const mcp = yield* serverOn({
        id: "everything",
        name: "e",
        connector: HttpPeerConnector.make({ url: server.url })
      })
      assert.strictEqual(mcp.name, "e")
      const states: Array<string> = []
      mcp.on("change", ({ _tag }) => void states.push(_tag))
      for (let time = 0; time < 2; time++) {
        yield* Effect.promise(() => mcp.connect())
        const { resources } = yield* Effect.promise(() => mcp.listResources())
        const [first] = resources
        const { contents } = yield* Effect.promise(() => mcp.readResource(first?.uri ?? ""))
        assert.strictEqual(contents[0]?.uri, first?.uri)
        const { resourceTemplates } = yield* Effect.promise(() => mcp.listResourceTemplates({}))
        assert.isAbove(resourceTemplates.length, 0)
        const content = yield* Effect.promise(() => mcp.callTool("get-structured-content", { location: "New York" }))
        assert.isObject(content.structuredContent)
        assert.notInclude(Object.keys(content), "structuredContent")
        yield* Effect.promise(() => mcp.close())
        assert.strictEqual(mcp.state._tag, "Closed")
        const after = yield* failing(() => mcp.listTools())
        assert.instanceOf(after, Error)
      }
      assert.strictEqual(states.filter((tag) => tag === "Connected").length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("tries anew at the next connect after one that could not be made", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted()
      const connector = StdioPeerConnector.make({ command: server.command, args: server.args })
      let tries = 0
      const telemetry = Layer.effectDiscard(
        Effect.suspend(() => (tries++ === 0 ? Effect.fail(new Error("the port is in use")) : Effect.void))
      )
      const mcp = yield* serverOn({ id: "scripted", connector, telemetry })
      assert.include(String(yield* failing(() => mcp.connect())), "the port is in use")
      assert.include(String(yield* failing(() => mcp.listTools())), "before connect()")
      yield* Effect.promise(() => mcp.connect())
      assert.isNotEmpty(yield* Effect.promise(() => mcp.listTools()))
    }).pipe(Effect.scoped)
  )
})
