/** Clients of MCP 2026-07-28 on a gateway whose backend is of an earlier era. */
import { assert, describe, it } from "@effect/vitest"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { Fleet } from "@vmcp-keepalive/core"
import { KeptPeer } from "@vmcp-keepalive/host"
import { McpServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, HttpPeerTransport, type Peer } from "@vmcp-keepalive/transport-http/peer"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { Endpoint, Gateway } from "../../src/index.ts"

const policy = { interval: "1 second", timeout: "400 millis", waitForSession: "8 seconds" } as const

const start = Effect.gen(function* () {
  const server = yield* McpServers.everything
  const fleet = yield* Effect.provide(Fleet.make<Peer.Peer>(), HttpPeerTransport.layer())
  const connector = HttpPeerConnector.make({ url: server.url })
  const opened: Array<Gateway.ConnectionOptions | undefined> = []
  const gateway = Gateway.Gateway.of({
    open: (deliver, options) => {
      opened.push(options)
      return Effect.orDie(KeptPeer.make({ id: "test", connector, policy }, deliver))
    },
    show: () => Effect.void,
    operate: () => Effect.succeed(Option.none()),
    calls: Stream.empty,
    conflicts: Effect.succeed([])
  })
  const built = yield* Layer.build(
    Layer.provide(Endpoint.serve({ fleet, port: 0 }, Layer.empty), Layer.succeed(Gateway.Gateway, gateway))
  )
  const connect = (client: Client) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        client.setVersionNegotiation({ mode: "auto" })
        await client.connect(new StreamableHTTPClientTransport(new URL(Context.get(built, Endpoint.Address).mcp)))
        assert.strictEqual(client.getProtocolEra(), "modern")
        return client
      }),
      (client) => Effect.promise(() => client.close())
    )
  return { server, connect, opened }
})

const echo = (client: Client, message: string) =>
  Effect.promise(async () => (await client.callTool({ name: "echo", arguments: { message } })).content)

describe("a client of the modern era", () => {
  it.live("lists, calls, reads and hears the progress of its calls, also when the server was killed in between", () =>
    Effect.gen(function* () {
      const { connect, opened, server } = yield* start
      const client = yield* connect(new Client({ name: "modern", version: "1" }))
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.include(
        tools.map(({ name }) => name),
        "echo"
      )
      assert.deepStrictEqual(yield* echo(client, "1"), [{ type: "text", text: "Echo: 1" }])
      const steps: Array<number> = []
      yield* Effect.promise(() =>
        client.callTool(
          { name: "trigger-long-running-operation", arguments: { duration: 0.4, steps: 4 } },
          { onprogress: ({ progress }) => void steps.push(progress) }
        )
      )
      assert.deepStrictEqual(steps, [1, 2, 3, 4])
      const { resources } = yield* Effect.promise(() => client.listResources())
      const uri = resources[0]?.uri ?? ""
      assert.isAbove((yield* Effect.promise(() => client.readResource({ uri }))).contents.length, 0)
      assert.isAbove((yield* Effect.promise(() => client.listPrompts())).prompts.length, 0)
      yield* server.restart
      assert.deepStrictEqual(yield* echo(client, "2"), [{ type: "text", text: "Echo: 2" }])
      // another client that says the same is on the same connection, beside the one that hears what belongs to no request
      yield* echo(yield* connect(new Client({ name: "modern", version: "1" })), "3")
      assert.deepStrictEqual(opened, [{ waits: true }, { waits: false }])
    })
  )

  it.live("is asked by the server through the answer to its call, which goes on when it answers", () =>
    Effect.gen(function* () {
      const { connect, server } = yield* start
      const asking = new Client({ name: "sampling", version: "1" }, { capabilities: { sampling: {} } })
      let asked = 0
      asking.setRequestHandler("sampling/createMessage", () => {
        asked++
        return { role: "assistant", model: "m", content: { type: "text", text: "sampled here" } }
      })
      const client = yield* connect(asking)
      const { content } = yield* Effect.promise(() =>
        client.callTool({ name: "trigger-sampling-request", arguments: { prompt: "x", maxTokens: 10 } })
      )
      assert.include(JSON.stringify(content), "sampled here")
      assert.strictEqual(asked, 1)
      const executed = (yield* server.executions).length
      assert.isAtMost(executed, 1)
    })
  )

  it.live("gets the gateway's own errors with what it needs to act", () =>
    Effect.gen(function* () {
      const { connect } = yield* start
      const client = yield* connect(new Client({ name: "modern", version: "1" }))
      const failed = yield* Effect.flip(
        Effect.tryPromise({ try: () => client.readResource({ uri: "nowhere://x" }), catch: (error) => error })
      )
      assert.match(String(failed), /nowhere/)
    })
  )
})
