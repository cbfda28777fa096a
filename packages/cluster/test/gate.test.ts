/** What a process may still do once its lease is not certain: nothing, as the server sees it. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { Backend, BackendError, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect } from "effect"
import { gated } from "../src/internal/owner/gate.ts"

const makeServer = () => {
  const server = new McpServer({ name: "tools", version: "1" })
  server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  return server
}

const echo = { method: "tools/call", params: { name: "echo", arguments: {} } }

const keptWith = Effect.fnUntraced(function* (policy: KeepalivePolicy.Options) {
  const server = TestServer.make({ server: makeServer })
  const lease = { isCertain: true }
  const backend = yield* Backend.make({
    id: "tools",
    connector: gated(server.peerConnector, () => lease.isCertain),
    policy: { connect: "lazy", probe: "ping", ...policy }
  })
  return { server, lease, backend }
})

describe("without a lease that is certain", () => {
  it.live("a callback that has begun makes no further request, and goes on where it is certain again", () =>
    Effect.gen(function* () {
      const { backend, lease, server } = yield* keptWith({})
      const error = yield* Effect.flip(
        backend.use(async (peer) => {
          await peer.request(echo)
          lease.isCertain = false
          return peer.request(echo)
        })
      )
      assert.instanceOf(error, BackendError.CallFailed)
      assert.strictEqual((yield* server.calls).length, 1)
      lease.isCertain = true
      yield* backend.use((peer) => peer.request(echo))
      assert.strictEqual((yield* server.calls).length, 2)
    })
  )

  it.live("no session is opened, and no probe gets an answer", () =>
    Effect.gen(function* () {
      const { backend, lease, server } = yield* keptWith({ waitForSession: "200 millis" })
      lease.isCertain = false
      assert.instanceOf(yield* Effect.flip(backend.use((peer) => peer.request(echo))), BackendError.SessionUnavailable)
      assert.strictEqual((yield* server.sessions).attempts, 0)
      lease.isCertain = true
      yield* backend.reconnect
      assert.strictEqual((yield* backend.probe)._tag, "Connected")
      lease.isCertain = false
      assert.strictEqual((yield* backend.probe)._tag, "Unhealthy")
    })
  )
})
