/** One host over a pair of streams. */
import { assert, describe, it } from "@effect/vitest"
import { Client as ModernClient, type Transport as ModernTransport } from "@modelcontextprotocol/client"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Effect, Fiber } from "effect"
import { PassThrough } from "node:stream"
import { Stdio } from "../../src/index.ts"
import { scripted } from "../modern/scripted.ts"

const start = (output = new PassThrough()) =>
  Effect.gen(function* () {
    const world = scripted()
    const input = new PassThrough()
    const gateway: Stdio.Options["gateway"] = {
      open: (deliver) =>
        Effect.map(
          Effect.acquireRelease(
            Effect.promise(() => world.open(deliver)),
            ({ close }) => Effect.promise(close)
          ),
          ({ take }) => ({ take })
        )
    }
    const serving = yield* Effect.forkScoped(Effect.scoped(Stdio.serve({ gateway, input, output })), {
      startImmediately: true
    })
    yield* Effect.promise(() => world.until(() => world.connections[0]))
    const say = (message: unknown) => {
      input.write(typeof message === "string" ? message : `${JSON.stringify(message)}\n`)
    }
    return { ...world, input, output, serving, say }
  })

/** Messages that a host reads, in order. */
const reading = (output: PassThrough) => {
  const messages: Array<Record<string, unknown>> = []
  const waiting = new Set<() => void>()
  let text = ""
  output.on("data", (chunk) => {
    const lines = (text + String(chunk)).split("\n")
    text = lines.pop() ?? ""
    messages.push(...lines.map((line) => JSON.parse(line)))
    for (const each of [...waiting]) each()
  })
  const until = (fits: (message: Record<string, unknown>) => boolean) =>
    Effect.promise(
      () =>
        new Promise<Record<string, unknown>>((resolve) => {
          const look = () => {
            const found = messages.find(fits)
            if (found === undefined) return
            waiting.delete(look)
            resolve(found)
          }
          waiting.add(look)
          look()
        })
    )
  return { messages, until }
}

const handshake = (version = "2025-11-25") => ({
  jsonrpc: "2.0",
  id: "hello",
  method: "initialize",
  params: { protocolVersion: version, capabilities: {}, clientInfo: { name: "raw", version: "1" } }
})

const modern = (id: number, method: string, params: object = {}) => ({
  jsonrpc: "2.0",
  id,
  method,
  params: {
    ...params,
    _meta: {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {}
    }
  }
})

/** What the SDKs' clients send by. */
const transportOf = ({ input, output }: { readonly input: PassThrough; readonly output: PassThrough }) => {
  let text = ""
  const transport: ModernTransport = {
    start: () => {
      output.on("data", (chunk) => {
        const lines = (text + String(chunk)).split("\n")
        text = lines.pop() ?? ""
        for (const line of lines) transport.onmessage?.(JSON.parse(line))
      })
      return Promise.resolve()
    },
    send: (message) => {
      input.write(`${JSON.stringify(message)}\n`)
      return Promise.resolve()
    },
    close: () => Promise.resolve(transport.onclose?.())
  }
  return transport
}

describe("a host over stdio", () => {
  it.live("asks and is answered, message by message, however its bytes come", () =>
    Effect.gen(function* () {
      const { asked, connections, input, output, say } = yield* start()
      const { until } = reading(output)
      say(handshake())
      assert.containsAllKeys((yield* until(({ id }) => id === "hello"))["result"], ["serverInfo"])
      const line = Buffer.from(
        `${JSON.stringify({ jsonrpc: "2.0", id: 2, method: "tools/call", params: { name: "ü" } })}\r\n\n`
      )
      for (const byte of line) input.write(Buffer.from([byte]))
      const call = yield* Effect.promise(() => asked(0, "tools/call"))
      assert.deepStrictEqual(call.params, { name: "ü" })
      connections[0]?.says({ jsonrpc: "2.0", id: 2, result: { content: [] } })
      assert.deepStrictEqual((yield* until(({ id }) => id === 2))["result"], { content: [] })
      assert.strictEqual(connections.length, 1)
    })
  )

  it.live("is told what it says that is no message, and goes on", () =>
    Effect.gen(function* () {
      const { input, output, say } = yield* start()
      const { messages, until } = reading(output)
      const parseErrors = () =>
        messages.filter(({ error }) => JSON.stringify(error)?.includes("-32700") === true).length
      say("no JSON\n")
      yield* until(() => parseErrors() === 1)
      // a line that is too long is not held, and one that is costly is not parsed
      for (let at = 0; at < 17; at++) input.write("x".repeat(1024 * 1024))
      input.write("\n")
      yield* until(() => parseErrors() === 2)
      say(`[${"{},".repeat(1_000_000)}{}]\n`)
      yield* until(() => parseErrors() === 3)
      say(handshake())
      yield* until(({ id }) => id === "hello")
      assert.strictEqual(parseErrors(), 3)
    })
  )

  it.live("that does not read is not read, and grows nothing; what it has asked is answered when it reads", () =>
    Effect.gen(function* () {
      const { connections, input, output, say, until } = yield* start(new PassThrough({ highWaterMark: 1024 }))
      say(handshake())
      const [server] = connections
      const data = "x".repeat(1024 * 1024)
      for (let at = 0; at < 40; at++) {
        server?.says({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data } })
      }
      assert.isAtMost(output.writableLength + output.readableLength, 18 * 1024 * 1024)
      assert.isTrue(input.isPaused())
      assert.isAtMost(output.listenerCount("drain"), 2)
      say({ jsonrpc: "2.0", id: 2, method: "tools/list" })
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual(server?.asked("tools/list").length, 0)
      reading(output)
      yield* Effect.promise(() => until(() => server?.asked("tools/list")[0]))
    })
  )

  it.live("ends the connection with its input, or when it closes what it reads from", () =>
    Effect.gen(function* () {
      for (const end of ["input", "output"] as const) {
        const world = yield* start()
        world.say(handshake())
        yield* Effect.promise(() => world.asked(0, "initialize"))
        reading(world.output)
        if (end === "input") world.input.end()
        else world.output.destroy(new Error("EPIPE"))
        yield* Fiber.join(world.serving)
        assert.isTrue(world.connections.every((each) => each.isClosed()))
        assert.strictEqual(world.input.listenerCount("data"), 0)
      }
    })
  )
})

describe("a host of the modern era over stdio", () => {
  it.live("is served in its own era: the SDK 2's client lists, calls, is asked, and hears of changes", () =>
    Effect.gen(function* () {
      const world = yield* start()
      const { asked, connections } = world
      const client = new ModernClient({ name: "modern", version: "1" }, { capabilities: { sampling: {} } })
      client.setRequestHandler("sampling/createMessage", () => ({
        role: "assistant",
        model: "m",
        content: { type: "text", text: "sampled" }
      }))
      client.setVersionNegotiation({ mode: "auto" })
      yield* Effect.promise(() => client.connect(transportOf(world)))
      assert.strictEqual(client.getProtocolEra(), "modern")
      assert.strictEqual(client.getInstructions(), "be kind")
      const calling = client.callTool({ name: "a" })
      // the host's legacy connection, the one that hears of changes, and that of its own words
      const { id } = yield* Effect.promise(() => asked(2, "tools/call"))
      connections[2]?.says(
        { jsonrpc: "2.0", id: 9, method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } },
        id
      )
      const answer = yield* Effect.promise(() =>
        world.until(() => connections[2]?.taken.find((each) => Message.isAnswer(each)))
      )
      assert.include(JSON.stringify(answer), "sampled")
      connections[2]?.says({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: "done" }] } })
      assert.deepStrictEqual((yield* Effect.promise(() => calling)).content, [{ type: "text", text: "done" }])
      assert.strictEqual(connections[2]?.asked("tools/call").length, 1)
      yield* Effect.promise(() => client.close())
    })
  )

  it.live("hears of what it has subscribed to, until it cancels that", () =>
    Effect.gen(function* () {
      const { asked, connections, output, say } = yield* start()
      const { messages, until } = reading(output)
      const methods = () => messages.flatMap(({ method }) => (method === undefined ? [] : [method]))
      say(
        modern(1, "subscriptions/listen", {
          notifications: { toolsListChanged: true, resourceSubscriptions: ["x://a"] }
        })
      )
      yield* until(({ method }) => method === "notifications/subscriptions/acknowledged")
      assert.deepStrictEqual((yield* Effect.promise(() => asked(1, "resources/subscribe"))).params, { uri: "x://a" })
      const says = (method: string, params?: Message.Params) => connections[1]?.says({ jsonrpc: "2.0", method, params })
      says("notifications/prompts/list_changed")
      says("notifications/tools/list_changed")
      yield* until(({ method }) => method === "notifications/tools/list_changed")
      says("notifications/resources/updated", { uri: "x://a" })
      yield* until(({ method }) => method === "notifications/resources/updated")
      say({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } })
      yield* Effect.promise(() => asked(1, "resources/unsubscribe"))
      says("notifications/tools/list_changed")
      say(modern(2, "server/discover"))
      yield* until(({ id }) => id === 2)
      assert.strictEqual(methods().filter((method) => method === "notifications/tools/list_changed").length, 1)
      assert.notInclude(methods(), "notifications/prompts/list_changed")
    })
  )

  it.live("may have asked first and fall back; one of the legacy era is not asked", () =>
    Effect.gen(function* () {
      const world = yield* start()
      const { until } = reading(world.output)
      world.say(modern(1, "server/discover"))
      assert.containsAllKeys((yield* until(({ id }) => id === 1))["result"], ["supportedVersions"])
      world.say(handshake())
      assert.containsAllKeys((yield* until(({ id }) => id === "hello"))["result"], ["serverInfo"])
      assert.strictEqual(world.connections[0]?.asked("initialize").length, 1)

      const other = yield* start()
      const client = new Client({ name: "legacy", version: "1" })
      yield* Effect.promise(() => client.connect(transportOf(other) as Transport))
      assert.strictEqual(other.connections.length, 1)
      yield* Effect.promise(() => client.close())
    })
  )
})
