/**
 * Everything of MCP in both directions, between a client of the SDK and the reference server: before and after the session has
 * changed under the one connection of the host.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema
} from "@modelcontextprotocol/sdk/types.js"
import type { Connector } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, type Scope } from "effect"
import { keepAlive, type Kept } from "../src/index.ts"
import { policy } from "./support.ts"

interface Subject {
  readonly connector: Connector.Connector<Peer.Peer>
  /** Ends the session: with the server, where that is a process of its own. */
  readonly change: (kept: Kept) => Promise<unknown>
}

const subjects: Record<string, Effect.Effect<Subject, unknown, Scope.Scope>> = {
  "Streamable HTTP, the server killed and started again": Effect.map(McpServers.everything, (server) => ({
    connector: HttpPeerConnector.make({ url: server.url }),
    change: () => Effect.runPromise(Effect.andThen(server.kill, server.start))
  })),
  "stdio, the child replaced": Effect.map(StdioServers.everything, (server) => ({
    connector: StdioPeerConnector.make({ command: server.command, args: [...server.args] }),
    change: (kept) => kept.reconnect()
  }))
}

/** A promise and what resolves it. */
const signal = () => {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}

const document = "demo://resource/static/document/architecture.md"

describe.each(Object.entries(subjects))("over %s", { concurrent: true }, (_, subject) => {
  it("all of MCP passes, both ways, and after the session has changed", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { change, connector } = yield* subject
        yield* Effect.promise(() => play(connector, change))
      }).pipe(Effect.scoped)
    ))
})

const play = async (connector: Subject["connector"], change: Subject["change"]): Promise<void> => {
  // the reference server takes seconds to start on a busy machine
  const kept = keepAlive({ id: "everything", connector, policy: { ...policy, connectTimeout: "20 seconds" } })
  const client = new Client(
    { name: "host", version: "1" },
    { capabilities: { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } } }
  )
  let closes = 0
  client.onclose = () => closes++
  const sampled: Array<string> = []
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    sampled.push(JSON.stringify(params.messages))
    return { role: "assistant", model: "scripted", content: { type: "text", text: "as sampled" } }
  })
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "decline" }))
  let roots = "file:///one"
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: roots, name: "root" }] }))
  let logged = signal()
  client.setNotificationHandler(LoggingMessageNotificationSchema, () => logged.resolve())
  let updated = signal()
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    if (params.uri === document) updated.resolve()
  })
  let listChanged = signal()
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => listChanged.resolve())

  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const result = await client.callTool({ name, arguments: args })
    return JSON.stringify(result.content)
  }

  /** What one session can do. */
  const everything = async () => {
    const names = (await client.listTools()).tools.map(({ name }) => name)
    assert.includeMembers(names, ["trigger-sampling-request", "trigger-elicitation-request", "get-roots-list"])
    assert.include(await call("echo", { message: "hi" }), "hi")
    assert.include(await call("trigger-sampling-request", { prompt: "a prompt", maxTokens: 5 }), "as sampled")
    assert.include(sampled.at(-1) ?? "", "a prompt")
    assert.include(await call("trigger-elicitation-request"), "declined")
    assert.include(await call("get-roots-list"), roots)
    const progress: Array<number> = []
    const operation = { name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 4 } }
    await client.callTool(operation, undefined, { onprogress: (step) => void progress.push(step.progress) })
    assert.deepStrictEqual(progress, [1, 2, 3, 4])
    assert.isNotEmpty((await client.listPrompts()).prompts)
    const prompt = await client.getPrompt({ name: "args-prompt", arguments: { city: "Ghent" } })
    assert.include(JSON.stringify(prompt.messages), "Ghent")
    assert.isNotEmpty((await client.listResources()).resources)
    assert.isNotEmpty((await client.listResourceTemplates()).resourceTemplates)
    assert.isNotEmpty((await client.readResource({ uri: document })).contents)
    const completion = await client.complete({
      ref: { type: "ref/prompt", name: "completable-prompt" },
      argument: { name: "department", value: "E" }
    })
    assert.include(completion.completion.values, "Engineering")
  }

  const task = async () => {
    const research = { name: "simulate-research-query", arguments: { topic: "keepalive" } }
    const steps: Array<string> = []
    for await (const message of client.experimental.tasks.callToolStream(research, CallToolResultSchema)) {
      steps.push(message.type)
      if (message.type === "error") throw message.error
    }
    assert.strictEqual(steps[0], "taskCreated")
    assert.strictEqual(steps.at(-1), "result")
  }

  await client.connect(kept)
  await everything()
  await client.setLoggingLevel("debug")
  await client.subscribeResource({ uri: document })
  await call("toggle-subscriber-updates")
  await updated.promise

  listChanged = signal()
  updated = signal()
  await change(kept)
  await Promise.all([listChanged.promise, updated.promise])
  await Promise.all([everything(), task()])
  logged = signal()
  await call("toggle-simulated-logging")
  await logged.promise
  updated = signal()
  await call("toggle-subscriber-updates")
  await updated.promise
  roots = "file:///two"
  await client.sendRootsListChanged()
  let answer = ""
  // The server asks for the roots when it is told that they have changed, and says what it knows.
  while (!answer.includes(roots)) answer = await call("get-roots-list")
  assert.strictEqual(closes, 0)
  await client.close()
}
