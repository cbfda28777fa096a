/** Clients of both SDKs on a session that somebody else keeps. */
import { assert, describe, it } from "@effect/vitest"
import { Client as Client2 } from "@modelcontextprotocol/client"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { Backend, BackendError } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import { ForwardTransport, type Peer } from "../src/withoutSdk.ts"
import { TestServer } from "../src/testing/index.ts"

const text = (words: string) => ({ content: [{ type: "text" as const, text: words }] })

/** how many calls of `hang` the server was told to end */
let ended = 0

const makeServer = () => {
  const server = new McpServer({ name: "real", version: "1" }, { capabilities: { tools: { listChanged: true } } })
  server.registerTool("echo", {}, () => text("hello"))
  server.registerTool("steps", {}, async ({ _meta, sendNotification }) => {
    const progressToken = _meta?.progressToken ?? ""
    for (let progress = 1; progress <= 5; progress++)
      await sendNotification({ method: "notifications/progress", params: { progressToken, progress } })
    return text("done")
  })
  server.registerTool("touch", {}, () => {
    server.sendToolListChanged()
    return text("touched")
  })
  server.registerTool("hang", {}, ({ signal }) => {
    signal.addEventListener("abort", () => ended++)
    return new Promise(() => {})
  })
  return server
}

const info = { name: "test", version: "1" }

/** What both SDKs' clients have in common, as far as it is used here. */
const clients = {
  "SDK 1.x": async (peer: Peer.Peer) => {
    const client = new Client(info)
    await client.connect(new ForwardTransport.ForwardTransport(peer))
    return {
      server: () => client.getServerVersion()?.name,
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: (name: string, onprogress?: (step: number) => void, signal?: AbortSignal) =>
        client.callTool({ name, arguments: {} }, undefined, {
          ...(onprogress === undefined ? {} : { onprogress: ({ progress }) => onprogress(progress) }),
          ...(signal === undefined ? {} : { signal })
        }),
      onToolsChanged: (changed: () => void) => {
        client.fallbackNotificationHandler = ({ method }) =>
          Promise.resolve(method === "notifications/tools/list_changed" ? changed() : undefined)
      },
      close: () => client.close()
    }
  },
  "SDK 2.x": async (peer: Peer.Peer) => {
    const client = new Client2(info, { versionNegotiation: { mode: "auto" } })
    await client.connect(new ForwardTransport.ForwardTransport(peer))
    return {
      server: () => client.getServerVersion()?.name,
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: (name: string, onprogress?: (step: number) => void, signal?: AbortSignal) =>
        client.callTool(
          { name, arguments: {} },
          {
            ...(onprogress === undefined ? {} : { onprogress: ({ progress }) => onprogress(progress) }),
            ...(signal === undefined ? {} : { signal })
          }
        ),
      onToolsChanged: (changed: () => void) => {
        client.fallbackNotificationHandler = ({ method }) =>
          Promise.resolve(method === "notifications/tools/list_changed" ? changed() : undefined)
      },
      close: () => client.close()
    }
  }
}

const made = Effect.gen(function* () {
  const server = TestServer.make({ server: makeServer })
  const backend = yield* Backend.make({ id: "real", connector: server.peerConnector })
  return { server, backend }
})

for (const [sdk, connect] of Object.entries(clients))
  describe(`a client of ${sdk} on a session that somebody else keeps`, () => {
    it.live("makes its calls there, and the server sees no other handshake", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* made
        const seen = yield* backend.use(async (peer) => {
          const client = await connect(peer)
          const name = client.server()
          const tools = await client.tools()
          const answer = await client.call("echo")
          await client.close()
          return { name, tools, answer }
        })
        assert.strictEqual(seen.name, "real")
        assert.includeMembers(seen.tools, ["echo", "touch"])
        assert.deepInclude(seen.answer, text("hello"))
        assert.strictEqual((yield* server.sessions).made, 1)
        // the session is not its to end
        yield* backend.use((peer) => peer.request({ method: "tools/list" }))
        assert.strictEqual((yield* server.sessions).made, 1)
      })
    )

    it.live("hears the progress of its own calls alone, and all of it, beside another with the same ids", () =>
      Effect.gen(function* () {
        const { backend } = yield* made
        const heard = backend.use(async (peer) => {
          const client = await connect(peer)
          const steps: Array<number> = []
          await client.call("steps", (step) => steps.push(step))
          await client.close()
          return steps
        })
        const steps = [1, 2, 3, 4, 5]
        assert.deepStrictEqual(yield* Effect.all([heard, heard], { concurrency: "unbounded" }), [steps, steps])
      })
    )

    it.live("hears of changes, and cancels at the server", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* made
        ended = 0
        const outcome = yield* backend.use(async (peer) => {
          const client = await connect(peer)
          const changed = new Promise<void>((resolve) => client.onToolsChanged(resolve))
          await client.call("touch")
          await changed
          const controller = new AbortController()
          const hanging = client.call("hang", undefined, controller.signal)
          await Effect.runPromise(server.untilCalled("hang"))
          controller.abort(new Error("enough"))
          const error = await hanging.then(
            () => undefined,
            (error: unknown) => error
          )
          await client.call("echo")
          await client.close()
          return error
        })
        assert.instanceOf(outcome, Error)
        assert.strictEqual(ended, 1)
      })
    )

    it.live("is closed with the session, and its call has the outcome of the connection", () =>
      Effect.gen(function* () {
        const { backend, server } = yield* made
        let closed = false
        const error = yield* Effect.flip(
          backend.use(async (peer) => {
            const transport = new ForwardTransport.ForwardTransport(peer)
            await transport.start()
            // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the transport is no EventTarget
            transport.onclose = () => (closed = true)
            const client = await connect(peer)
            const hanging = client.call("hang")
            await Effect.runPromise(Effect.andThen(server.untilCalled("hang"), server.kill()))
            return hanging
          })
        )
        assert.instanceOf(error, BackendError.OutcomeUnknown)
        assert.isTrue(closed)
      })
    )
  })
