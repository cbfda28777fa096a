/** A client whose requests are handed to another process: what it sees is what the server said. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { BackendError } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Fiber } from "effect"
import { elsewhere } from "./support/elsewhere.ts"

/** how many calls of `hang` the server was told to end */
let cancelled = 0

const makeServer = () => {
  const server = new McpServer({ name: "tools", version: "1" })
  server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  server.registerTool("hang", {}, ({ signal }) => {
    signal.addEventListener("abort", () => cancelled++)
    return new Promise(() => {})
  })
  return server
}

const call = (name: string) => ({ method: "tools/call", params: { name, arguments: {} } })

/** The same backend here, and as another process has it. */
const both = Effect.gen(function* () {
  const server = TestServer.make({ server: makeServer })
  const { backend, there } = yield* elsewhere(server.peerConnector)
  return { server, backend, here: backend.use, there: there("one").use }
})

describe("a call that is handed on", () => {
  it.live("has the answer that the server gave, as a call here has it", () =>
    Effect.gen(function* () {
      const { here, there } = yield* both
      const ask = (use: typeof there) => use((peer, signal) => peer.request(call("echo"), { signal }))
      assert.deepStrictEqual(yield* ask(there), yield* ask(here))
      const effect = there((peer) => Effect.promise(() => peer.request({ method: "tools/list" })))
      assert.property(yield* effect, "tools")
    })
  )

  it.live("fails with the error that the server answered with, untouched", () =>
    Effect.gen(function* () {
      const { here, there } = yield* both
      const ask = (use: typeof there) => Effect.flip(use((peer) => peer.request({ method: "no/such" })))
      const [error, expected] = [yield* ask(there), yield* ask(here)]
      assert.instanceOf(error, BackendError.CallFailed)
      assert.instanceOf(expected, BackendError.CallFailed)
      assert.deepStrictEqual(JSON.stringify(error), JSON.stringify(expected))
      if (error._tag !== "CallFailed" || expected._tag !== "CallFailed") return assert.fail()
      const [cause, before] = [error.cause, expected.cause]
      if (!Peer.isRpcError(cause) || !Peer.isRpcError(before)) return assert.fail()
      assert.deepStrictEqual([cause.code, cause.message, cause.data], [before.code, before.message, before.data])
    })
  )

  it.live("fails with what became of the connection, whatever its callback made of that", () =>
    Effect.gen(function* () {
      const { backend, server, there } = yield* both
      const hiding = yield* Effect.forkChild(
        Effect.flip(
          there(async (peer) => {
            try {
              return await peer.request(call("hang"))
            } catch {
              throw new Error("something went wrong")
            }
          })
        )
      )
      yield* server.untilCalled("hang")
      yield* server.kill()
      assert.instanceOf(yield* Fiber.join(hiding), BackendError.OutcomeUnknown)
      yield* backend.isolate
      assert.instanceOf(yield* Effect.flip(there((peer) => peer.request(call("echo")))), BackendError.CallRejected)
    })
  )

  it.live("is cancelled at the server where its caller is interrupted, or aborts its request", () =>
    Effect.gen(function* () {
      const { server, there } = yield* both
      cancelled = 0
      const controller = new AbortController()
      const interrupted = yield* Effect.forkChild(there((peer, signal) => peer.request(call("hang"), { signal })))
      const aborted = yield* Effect.forkChild(
        Effect.flip(there((peer) => peer.request(call("hang"), { signal: controller.signal })))
      )
      yield* server.untilCalled("hang", 2)
      yield* Fiber.interrupt(interrupted)
      controller.abort(new Error("enough"))
      const error = yield* Fiber.join(aborted)
      assert.instanceOf(error, BackendError.CallFailed)
      // what comes later is answered later
      yield* there((peer) => peer.request(call("echo")))
      assert.strictEqual(cancelled, 2)
    })
  )
})
