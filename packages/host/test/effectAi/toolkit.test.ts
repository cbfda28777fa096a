/** A toolkit that follows the list of a real server's tools, as agents use it. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { type AiError, Chat, LanguageModel, McpClient, McpClientError, Tool } from "effect/ai"
import { type KeptMcpClient, KeptToolkit } from "../../src/effectAi.ts"
import * as Model from "./model.ts"
import * as Support from "./support.ts"

const { begin, executed } = Support
const { Control, Reaction } = ScriptedServer

const names = (toolkit: { readonly tools: object }) => Object.keys(toolkit.tools)
const builtin = ["echo", "slow", "progress", "fail", "rpcError", "session_counter"]
const schemaOf = (fields: Record<string, unknown>) => ({ type: "object", properties: fields })

/** Waits until the client was told so often that its list may be old. */
const untilRevision = (client: KeptMcpClient.KeptMcpClient, least: number) =>
  Support.until(Effect.map(client.transport.toolListRevision, (revision) => revision >= least))

/** Changes the list, and waits until the client was told. */
const change = Effect.fnUntraced(function* (
  client: KeptMcpClient.KeptMcpClient,
  server: ScriptedServer.ScriptedServer,
  control: ScriptedServer.Control
) {
  yield* Support.until(Effect.map(server.stats, ({ streams }) => streams > 0))
  const before = yield* client.transport.toolListRevision
  yield* server.control(control)
  yield* untilRevision(client, before + 1)
})

/** The client, and how often it has listed the tools. */
const counting = (client: KeptMcpClient.KeptMcpClient) => {
  let lists = 0
  const listTools: typeof client.listTools = (options) =>
    Effect.andThen(
      Effect.sync(() => lists++),
      client.listTools(options)
    )
  return { client: { ...client, listTools }, lists: () => lists }
}

describe("an agent with a kept toolkit", () => {
  it.live("uses a tool that came after a kill, and has no more what went; a snapshot stays as it was", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      yield* change(client, server, Control.AddTool({ name: "old" }))
      const toolkit = yield* KeptToolkit.make(client, { prefix: "s__" })
      const snapshot = yield* McpClient.toolkit(client, "s__")
      const { model, turns } = yield* Model.make(
        { tool: "s__echo", params: { message: "before" } },
        { tool: "s__new", params: {} },
        "done"
      )
      const turn = Effect.provideService(
        LanguageModel.generateText({ prompt: "go", toolkit }),
        LanguageModel.LanguageModel,
        model
      )
      assert.deepStrictEqual(
        (yield* turn).toolResults.map(({ result }) => result),
        ["Echo: before"]
      )
      assert.isTrue(turns[0]?.tools.some(({ name }) => name === "s__old"))

      // it comes back without what was added to it, and gets another one
      yield* server.restart
      yield* change(client, server, Control.AddTool({ name: "new" }))
      assert.deepStrictEqual(
        (yield* turn).toolResults.map(({ result }) => result),
        ["new"]
      )
      assert.deepStrictEqual(
        turns[1]?.tools.map(({ name }) => name),
        [...builtin, "new"].map((name) => `s__${name}`)
      )
      assert.strictEqual((yield* turn).text, "done")
      assert.include(names(snapshot), "s__old")
      assert.deepStrictEqual(yield* executed(server), ["echo", "new"])
    })
  )

  it.live("is offered the new schema of a tool that has changed", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      const { model, turns } = yield* Model.make("one", "two")
      const turn = Effect.provideService(
        LanguageModel.generateText({ prompt: "go", toolkit }),
        LanguageModel.LanguageModel,
        model
      )
      const inputSchema = schemaOf({ message: { type: "string" }, loud: { type: "boolean" } })
      yield* turn
      yield* change(client, server, Control.AddTool({ name: "echo", inputSchema }))
      yield* turn
      const offered = turns.map(({ tools }) => tools.find(({ name }) => name === "echo")?.parameters)
      assert.deepStrictEqual(offered, [schemaOf({ message: { type: "string" } }), inputSchema])
    })
  )

  it("has the errors of tools in its type, and none of the list", () => {
    const turn = (toolkit: KeptToolkit.KeptToolkit) => LanguageModel.generateText({ prompt: "go", toolkit })
    expectTypeOf<ReturnType<typeof turn>>().toExtend<
      Effect.Effect<unknown, McpClientError.McpClientError | AiError.AiError, LanguageModel.LanguageModel>
    >()
    expectTypeOf<KeptToolkit.KeptToolkit>().toExtend<
      Effect.Effect<Effect.Success<ReturnType<typeof McpClient.toolkit>>>
    >()
  })
})

describe("a kept toolkit", () => {
  it.live("asks nobody where nothing has changed, and is the same toolkit where a new session has the same tools", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const counted = counting(client)
      const toolkit = yield* KeptToolkit.make(counted.client)
      const first = yield* toolkit
      for (let turn = 0; turn < 100; turn++) assert.strictEqual(yield* toolkit, first)
      assert.strictEqual(counted.lists(), 1)
      yield* server.restart
      yield* untilRevision(client, 1)
      assert.strictEqual(yield* toolkit, first)
      assert.strictEqual(yield* toolkit, first)
      assert.strictEqual(counted.lists(), 2)
    })
  )

  it.live("gives what it has while its server is down", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      yield* server.kill
      yield* Support.untilState(client, "Disconnected")
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      assert.isTrue(Option.isNone(yield* toolkit.failure))
    })
  )

  it.live("lists once for all turns that begin together, and one that is interrupted takes it from nobody", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const counted = counting(client)
      const toolkit = yield* KeptToolkit.make(counted.client)
      yield* change(client, server, Control.AddTool({ name: "new" }))
      const [first, ...others] = yield* Effect.forEach(Array.from({ length: 5 }), () =>
        Effect.forkChild(toolkit, { startImmediately: true })
      )
      assert(first !== undefined)
      yield* Fiber.interrupt(first)
      for (const other of others) assert.include(names(yield* Fiber.join(other)), "new")
      assert.strictEqual(counted.lists(), 2)
    })
  )

  it.live("lists again for a turn that begins after a change which came in the midst of a listing", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const { client: counted, ...counts } = counting(client)
      const read = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let isGated = false
      const gated = Effect.suspend(() =>
        isGated ? Effect.andThen(Deferred.succeed(read, undefined), Deferred.await(gate)) : Effect.void
      )
      const toolkit = yield* KeptToolkit.make({ ...counted, listTools: () => Effect.tap(counted.listTools(), gated) })
      isGated = true
      yield* change(client, server, Control.AddTool({ name: "first" }))
      const one = yield* Effect.forkChild(toolkit, { startImmediately: true })
      yield* Deferred.await(read)
      yield* change(client, server, Control.AddTool({ name: "second" }))
      const two = yield* Effect.forkChild(toolkit, { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(names(yield* Fiber.join(two)), [...builtin, "first", "second"])
      assert.include(names(yield* Fiber.join(one)), "first")
      assert.strictEqual(counts.lists(), 3)
    })
  )

  it.live("keeps its tools where they cannot be listed, says why, and tries again at the next turn", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      // not once, since the backend lists them too
      yield* server.react("tools/list", Reaction.RpcError({ code: -32603 }))
      yield* change(client, server, Control.AddTool({ name: "new" }))
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      const why = Option.getOrUndefined(yield* toolkit.failure)
      assert(why?.reason._tag === "ProtocolError")
      assert.strictEqual(why.reason.code, -32603)
      yield* server.control(Control.ForgetScripts())
      assert.include(names(yield* toolkit), "new")
      assert.isTrue(Option.isNone(yield* toolkit.failure))
    })
  )

  it.live("keeps its tools where a new one has a name that no model takes, until that is gone", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      yield* change(client, server, Control.AddTool({ name: "no good name" }))
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      assert.strictEqual(Option.getOrUndefined(yield* toolkit.failure)?.reason._tag, "ConfigurationError")
      yield* change(client, server, Control.RemoveTool({ name: "no good name" }))
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      assert.isTrue(Option.isNone(yield* toolkit.failure))
    })
  )

  it.live("follows also where schemas are nested more deeply than can be compared", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      const tool = { name: "deep", inputSchema: schemaOf({ a: deep(3000) }) }
      yield* change(client, server, Control.AddTool(tool))
      assert.include(names(yield* toolkit), "deep")
      yield* change(client, server, Control.AddTool({ ...tool, inputSchema: schemaOf({ b: deep(3000) }) }))
      const { deep: now } = (yield* toolkit).tools
      assert(now !== undefined)
      assert.hasAllKeys(Object(Tool.getJsonSchema(now)["properties"]), ["b"])
    })
  )

  it.live("does not keep a turn waiting for a list that does not come, and has it when it came", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin({ policy: { interval: "1 hour" } })
      const counted = counting(client)
      const toolkit = yield* KeptToolkit.make(counted.client, { waitForList: "300 millis" })
      yield* change(client, server, Control.AddTool({ name: "new" }))
      yield* server.freeze
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      // the same listing, which has had its time
      const [took, all] = yield* Effect.timed(Effect.replicateEffect(toolkit, 20))
      for (const present of all) assert.deepStrictEqual(names(present), builtin)
      assert.isBelow(Duration.toMillis(took), 3000)
      assert.strictEqual(counted.lists(), 2)
      yield* server.thaw
      yield* Support.until(Effect.map(toolkit, (now) => names(now).includes("new")))
      assert.strictEqual(counted.lists(), 2)
    })
  )

  it.live("lists when it is told to, also what no server has announced, and fails typed", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const counted = counting(client)
      const toolkit = yield* KeptToolkit.make(counted.client)
      assert.strictEqual(yield* toolkit.refresh, yield* toolkit)
      assert.strictEqual(counted.lists(), 2)
      yield* server.react("tools/list", Reaction.RpcError({ code: -32603 }))
      assert.strictEqual((yield* Effect.flip(toolkit.refresh)).reason._tag, "ProtocolError")
      yield* server.control(Control.ForgetScripts())
      yield* toolkit.refresh
    })
  )

  it.live("is not made where its tools cannot be listed, or its settings are wrong", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const reasonOf = (options: KeptToolkit.Options) =>
        Effect.map(Effect.flip(KeptToolkit.make(client, options)), ({ reason }) => reason._tag)
      assert.strictEqual(yield* reasonOf({ waitForList: -1 }), "ConfigurationError")
      assert.strictEqual(yield* reasonOf({ prefix: "no good prefix" }), "ConfigurationError")
      yield* server.react("tools/list", Reaction.RpcError({ code: -32603 }))
      assert.strictEqual(yield* reasonOf({}), "ProtocolError")
    })
  )

  it.live("has its last tools when its scope has ended, and lists no more", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const counted = counting(client)
      const scope = yield* Scope.make()
      const toolkit = yield* Scope.provide(KeptToolkit.make(counted.client), scope)
      yield* Scope.close(scope, Exit.void)
      yield* change(client, server, Control.AddTool({ name: "new" }))
      assert.deepStrictEqual(names(yield* toolkit), builtin)
      assert.strictEqual((yield* Effect.flip(toolkit.refresh)).reason._tag, "ClosedError")
      assert.strictEqual(counted.lists(), 1)
    })
  )

  it.live("has a call fail typed whose server was killed under it, and it ran once", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client)
      const { model } = yield* Model.make({ tool: "slow", params: { ms: 60_000 } })
      const turn = yield* LanguageModel.generateText({ prompt: "go", toolkit }).pipe(
        Effect.provideService(LanguageModel.LanguageModel, model),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Support.begun(server)
      yield* server.restart
      const error = yield* Fiber.join(turn)
      assert(error._tag === "McpClientError")
      assert.deepStrictEqual(Support.told(error), ["OutcomeUnknown", "unknown"])
      const echoed = yield* Effect.flatMap(toolkit, ({ handle }) => handle("echo", { message: "after" }))
      assert.deepStrictEqual(
        (yield* Stream.runCollect(echoed)).map(({ result }) => result),
        ["Echo: after"]
      )
      assert.deepStrictEqual(yield* executed(server), ["slow", "echo"])
    })
  )
})

describe('a kept toolkit with failureMode "return"', () => {
  it.live("tells the model of a call whose outcome is unknown, and the model goes on", () =>
    Effect.gen(function* () {
      const { client, server } = yield* begin()
      const toolkit = yield* KeptToolkit.make(client, { failureMode: "return" })
      const { model, turns } = yield* Model.make(
        { tool: "slow", params: { ms: 60_000 } },
        { tool: "fail", params: {} },
        { tool: "new", params: {} }
      )
      const chat = yield* Chat.empty
      const turn = (prompt: string) =>
        Effect.provideService(chat.generateText({ prompt, toolkit }), LanguageModel.LanguageModel, model)
      const slow = yield* Effect.forkChild(turn("one"), { startImmediately: true })
      yield* Support.begun(server)
      yield* server.restart
      const [lost] = (yield* Fiber.join(slow)).toolResults
      assert.isTrue(lost?.isFailure)
      assert(McpClientError.isMcpClientError(lost?.result))
      assert.deepStrictEqual(Support.told(lost.result), ["OutcomeUnknown", "unknown"])
      const [failed] = (yield* turn("two")).toolResults
      assert(McpClientError.isMcpClientError(failed?.result))
      assert.strictEqual(failed.result.reason._tag, "ToolError")
      // what the model reads of the first
      assert.include(JSON.stringify(yield* chat.export), "whether it was executed is unknown, and it is not made again")
      yield* change(client, server, Control.AddTool({ name: "new" }))
      const [found] = (yield* turn("three")).toolResults
      assert.deepStrictEqual([found?.result, found?.isFailure], ["new", false])
      assert.strictEqual(turns.length, 3)
      assert.deepStrictEqual(yield* executed(server), ["slow", "fail", "new"])
    })
  )

  it("has no errors of tools in its type", () => {
    const turn = (toolkit: KeptToolkit.KeptToolkit<"return">) => LanguageModel.generateText({ prompt: "go", toolkit })
    expectTypeOf<Effect.Error<ReturnType<typeof turn>>>().toEqualTypeOf<AiError.AiError>()
  })

  it.live("offers what the other offers", () =>
    Effect.gen(function* () {
      const { client } = yield* begin()
      const one = yield* yield* KeptToolkit.make(client, { prefix: "s__" })
      const other = yield* yield* KeptToolkit.make(client, { prefix: "s__", failureMode: "return" })
      const described = (tools: Readonly<Record<string, Tool.Any>>) =>
        Object.values(tools).map((tool) => [
          tool.name,
          tool.description,
          Tool.getJsonSchema(tool),
          Context.get(tool.annotations, Tool.Strict)
        ])
      assert.deepStrictEqual(described(other.tools), described(one.tools))
    })
  )
})

/** A schema within a schema, so many times. */
const deep = (levels: number): unknown => {
  let schema: unknown = {}
  for (let level = 0; level < levels; level++) schema = { not: schema }
  return schema
}
