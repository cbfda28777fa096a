/** The public face, as the README shows it, on a real server. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Backend, KeepalivePolicy } from "@vmcp-keepalive/core"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { text } from "./support.ts"

describe("the public face", () => {
  it.live("keeps a real server with headers, policy and setup, and runs calls on it", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const backend = yield* Backend.make({
        id: "everything",
        connector: HttpConnector.make({
          url: server.url,
          headers: { Authorization: Redacted.make("Bearer token") }
        }),
        policy: { interval: "30 seconds", probe: "ping" },
        setup: (client) => Effect.promise(() => client.setLoggingLevel("warning"))
      })
      const result = yield* backend.use(
        (client, signal) => client.callTool({ name: "echo", arguments: { message: "hi" } }, undefined, { signal }),
        { idempotent: true }
      )
      assert.include(text(result), "hi")
      const both = yield* backend.pinned((session) =>
        Effect.all([
          session.use((client) => client.callTool(server.echo("one"))),
          session.use((client) => client.callTool(server.echo("two")))
        ])
      )
      assert.include(text(both), "two")
      const first = yield* Stream.runHead(backend.changes)
      assert.deepStrictEqual(first._tag === "Some" && untimed(first.value), { _tag: "Connected", generation: 1 })
      assert.strictEqual((yield* backend.probe)._tag, "Connected")
      assert.deepStrictEqual(untimed(yield* backend.reconnect), { _tag: "Connected", generation: 2 })
    })
  )

  it.live("composes as layers, with one policy for all", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.effectMcp
      class Tools extends Context.Service<Tools, Backend.Backend<Client>>()("app/Tools") {
        static readonly layer = Layer.effect(
          this,
          Backend.make({ id: "tools", connector: HttpConnector.make({ url: server.url }) })
        )
      }
      const program = Effect.flatMap(Effect.service(Tools), (tools) =>
        tools.use((client) => client.callTool(server.echo("layered")))
      )
      const policy = KeepalivePolicy.layer({ interval: "30 seconds", probe: "list-tools" })
      const result = yield* program.pipe(Effect.provide(Tools.layer.pipe(Layer.provide(policy))))
      assert.include(text(result), "layered")
    })
  )

  it.effect("reports every wrong setting at once, of the connector and of the policy, before anything connects", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Backend.make({
          id: "wrong",
          connector: HttpConnector.make({ url: "ftp://user:s3cr3t@example.invalid" }),
          policy: { interval: "10 millis", timeout: "-1 seconds", failureThreshold: 0 }
        })
      )
      assert.deepStrictEqual(
        error.issues.map(({ path }) => path.join(".")),
        ["connector.url", "policy.interval", "policy.timeout", "policy.failureThreshold"]
      )
      assert.isTrue(error.issues.every(({ expected }) => expected.length > 0))
      assert.notInclude(error.message, "s3cr3t")
    })
  )
})
