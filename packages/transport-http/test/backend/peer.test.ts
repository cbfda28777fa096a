/** A backend whose client is a peer: messages as they are, without an SDK, on a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Backend } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Schedule } from "effect"
import { HttpPeerConnector, Peer } from "../../src/peer.ts"
import { quick } from "./support.ts"

const text = (result: unknown) => JSON.stringify(result)

describe("a backend of peers", () => {
  it.live("calls a real server, hears what it says and to which request, and comes back on another session", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const proxy = yield* FaultProxy.make({ target: { port: server.port } })
      const heard: Array<readonly [method: string, related: unknown]> = []
      const peer = () =>
        Peer.make({
          initialize: {
            protocolVersion: "2025-11-25",
            capabilities: { roots: { listChanged: true } },
            clientInfo: { name: "host", version: "1" }
          },
          onMessage: (message, { relatedRequestId }, self) => {
            heard.push([message.method, relatedRequestId])
            if (!("id" in message)) return
            const result = message.method === "roots/list" ? { roots: [] } : {}
            self.answer({ jsonrpc: "2.0", id: message.id, result }).catch(() => {})
          }
        })
      const backend = yield* Backend.make({
        id: "peer",
        connector: HttpPeerConnector.make({ url: `${proxy.url}/mcp`, peer }),
        policy: quick
      })
      yield* backend.awaitConnected
      const echo = backend.use((client, signal) =>
        client.request({ method: "tools/call", params: { name: "echo", arguments: { message: "raw" } } }, { signal })
      )
      assert.include(text(yield* echo), "raw")
      const slow = {
        name: "trigger-long-running-operation",
        arguments: { duration: 0.4, steps: 2 },
        _meta: { progressToken: "own" }
      }
      assert.include(
        text(yield* backend.use((client) => client.request({ method: "tools/call", params: slow }))),
        "completed"
      )
      const progress = heard.filter(([method]) => method === "notifications/progress")
      assert.isAtLeast(progress.length, 2)
      assert.isTrue(progress.every(([, related]) => typeof related === "number"))
      const error = yield* Effect.flip(backend.use((client) => client.request({ method: "no/such/method" })))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.code, -32601)
      yield* proxy.inject(Fault.Refuse())
      yield* Effect.sleep("300 millis")
      yield* proxy.heal
      const renewed = yield* Effect.retry(echo, Schedule.spaced("100 millis"))
      assert.include(text(renewed), "raw")
    })
  )

  it.live("is cancelled by its signal, which the server is told, and frees what it held", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const backend = yield* Backend.make({
        id: "peer",
        connector: HttpPeerConnector.make({ url: server.url }),
        policy: quick
      })
      yield* backend.awaitConnected
      const { arguments: args, name } = server.slow(30)
      const call = backend.use((client, signal) =>
        client.request({ method: "tools/call", params: { name, arguments: args } }, { signal })
      )
      const ended = yield* Effect.timeoutOption(call, "300 millis")
      assert.strictEqual(ended._tag, "None")
      const told = Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["notifications/cancelled"] === 1)
      yield* Effect.repeat(told, { until: (is) => is, schedule: Schedule.spaced("5 millis") })
    })
  )
})
