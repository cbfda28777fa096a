/** A server of SDK 1 whose inside is a kept connection, as frameworks connect it. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"
import { ErrorAnswer } from "../src/index.ts"
import { type KeptServer, type Options, toSdkServer } from "../src/Sdk1Server.ts"
import { policy } from "./support.ts"

const serverOn = (options: Omit<Options, "services">) =>
  Effect.acquireRelease(
    Effect.sync(() => toSdkServer({ policy, ...options })),
    (server) => Effect.promise(() => server.close())
  )

const scripted = Effect.gen(function* () {
  const server = yield* StdioServers.scripted()
  const connector = StdioPeerConnector.make({ command: server.command, args: server.args })
  return { server, kept: yield* serverOn({ id: "scripted", connector }) }
})

const text = (result: unknown) => JSON.stringify(result)

/** The transport that the Claude Agent SDK connects: it sends nothing by itself, and starts and closes at once. */
const claude = () => {
  const sent: Array<JSONRPCMessage> = []
  const waiting = new Map<unknown, (message: JSONRPCMessage) => void>()
  const transport = {
    onclose: undefined as (() => void) | undefined,
    onerror: undefined as ((error: Error) => void) | undefined,
    onmessage: undefined as ((message: JSONRPCMessage) => void) | undefined,
    start: () => Promise.resolve(),
    send: (message: JSONRPCMessage) => {
      sent.push(message)
      if ("id" in message) waiting.get(message.id)?.(message)
      return Promise.resolve()
    },
    close: () => {
      transport.onclose?.()
      return Promise.resolve()
    }
  }
  const ask = (id: string | number, method: string, params?: Record<string, unknown>): Promise<JSONRPCMessage> =>
    new Promise((resolve) => {
      waiting.set(id, resolve)
      transport.onmessage?.({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) })
    })
  return { transport, sent, ask }
}

const hello = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "claude-code", version: "1" } }

describe("a kept connection as a server of SDK 1", () => {
  it.live("is an McpServer, and goes on through the death of the server that is kept", () =>
    Effect.gen(function* () {
      const { kept } = yield* scripted
      const instance: McpServer = kept
      assert.instanceOf(instance, McpServer)
      const [ours, theirs] = InMemoryTransport.createLinkedPair()
      const client = new Client({ name: "host", version: "1" })
      let closes = 0
      client.onclose = () => closes++
      yield* Effect.promise(() => instance.connect(ours))
      assert.isTrue(instance.isConnected())
      yield* Effect.promise(() => client.connect(theirs))
      const pid = Effect.promise(() => client.callTool({ name: "pid" })).pipe(Effect.map(text))
      const first = yield* pid
      const killed = yield* Effect.promise(() => client.callTool({ name: "kill" }).catch((error: unknown) => error))
      assert.strictEqual(ErrorAnswer.dataOf(killed)?.executed, "unknown")
      assert.notStrictEqual(yield* pid, first)
      assert.strictEqual(closes, 0)
      const again = yield* Effect.promise(() =>
        instance.connect(claude().transport).then(
          () => undefined,
          (error: Error) => error
        )
      )
      assert.instanceOf(again, Error)
      assert.strictEqual(kept.state._tag, "Connected")
      yield* Effect.promise(() => instance.close())
      assert.strictEqual(closes, 1)
      assert.strictEqual(kept.state._tag, "Closed")
      assert.isFalse(instance.isConnected())
    }).pipe(Effect.scoped)
  )

  it.live("can be connected again: each transport gets a connection of its own", () =>
    Effect.gen(function* () {
      const { kept, server } = yield* scripted
      for (let time = 0; time < 2; time++) {
        const host = claude()
        yield* Effect.promise(() => kept.connect(host.transport))
        assert.property(yield* Effect.promise(() => host.ask(0, "initialize", hello)), "result")
        yield* Effect.promise(() => host.transport.close())
      }
      yield* Effect.promise(() => kept.close())
      assert.strictEqual(yield* server.starts, 2)
    }).pipe(Effect.scoped)
  )

  it.live(
    "answers a second initialize as a server of the SDK does, and asks the server once where the words are the same",
    () =>
      Effect.gen(function* () {
        const { kept, server } = yield* scripted
        const { ask, transport } = claude()
        // at once, as the framework does not wait for `connect`
        const connected = kept.connect(transport)
        const both = Promise.all([ask("capture", "initialize", hello), ask(0, "initialize", hello)])
        yield* Effect.promise(() => connected)
        const [captured, answered] = yield* Effect.promise(() => both)
        assert.deepStrictEqual({ ...captured, id: 0 }, answered)
        const later = yield* Effect.promise(() => ask(1, "initialize", hello))
        assert.deepStrictEqual(later, { ...answered, id: 1 })
        assert.strictEqual(yield* server.starts, 1)
      }).pipe(Effect.scoped)
  )

  it.live("takes other words of a second initialize for those of its host, also while the first one waits", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      yield* server.kill
      const kept = yield* serverOn({ id: "everything", connector: HttpPeerConnector.make({ url: server.url }) })
      const { ask, sent, transport } = claude()
      yield* Effect.promise(() => kept.connect(transport))
      void ask("capture", "initialize", hello)
      const answered = ask(0, "initialize", { ...hello, capabilities: { sampling: {} } })
      yield* server.start
      assert.property(yield* Effect.promise(() => answered), "result")
      transport.onmessage?.({ jsonrpc: "2.0", method: "notifications/initialized" })
      // a tool that the server has only for clients that can be asked
      const listed = yield* Effect.promise(() => ask(1, "tools/list"))
      assert.include(text(listed), "trigger-sampling-request")
      assert.isFalse(sent.some((message) => "id" in message && message.id === "capture"))
    }).pipe(Effect.scoped)
  )

  it.live("hands on what the server asks", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const kept: KeptServer = yield* serverOn({
        id: "everything",
        connector: HttpPeerConnector.make({ url: server.url })
      })
      const [ours, theirs] = InMemoryTransport.createLinkedPair()
      const client = new Client({ name: "host", version: "1" }, { capabilities: { sampling: {} } })
      client.setRequestHandler(CreateMessageRequestSchema, () => ({
        role: "assistant",
        model: "m",
        content: { type: "text", text: "sampled" }
      }))
      yield* Effect.promise(() => Promise.all([kept.connect(ours), client.connect(theirs)]))
      const call = { name: "trigger-sampling-request", arguments: { prompt: "x", maxTokens: 10 } }
      assert.include(text(yield* Effect.promise(() => client.callTool(call))), "sampled")
    }).pipe(Effect.scoped)
  )
})
