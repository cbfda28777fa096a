/** A client whose requests are handed to another process: what it sees is what the server said. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { BackendError } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Deferred, Effect, Fiber, Queue, Stream } from "effect"
import { elsewhere } from "./support/elsewhere.ts"
import { until } from "./support/world.ts"

const makeServer = (cancelled: () => void) => {
  const server = new McpServer({ name: "tools", version: "1" })
  server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  server.registerTool("hang", {}, ({ signal }) => {
    signal.addEventListener("abort", cancelled)
    return new Promise(() => {})
  })
  return server
}

const call = (name: string) => ({ method: "tools/call", params: { name, arguments: {} } })

/** The same backend here, and as another process has it. */
const both = Effect.gen(function* () {
  /** how many calls of `hang` the server was told to end */
  let cancelled = 0
  const server = TestServer.make({ server: () => makeServer(() => cancelled++) })
  const { backend, there } = yield* elsewhere(server.peerConnector)
  const one = there("one")
  return { server, backend, cancelled: () => cancelled, elsewhere: there, here: backend.use, there: one.use }
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
      const { cancelled, server, there } = yield* both
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
      assert.strictEqual(cancelled(), 2)
    })
  )

  it.live("is cancelled by its id also after a notification beside it", () =>
    Effect.gen(function* () {
      const { there } = yield* both
      const error = yield* Effect.flip(
        there(async (peer) => {
          let id: number | undefined
          const hanging = peer.request(call("hang"), { onId: (own) => (id = own) })
          await peer.notification({ method: "notifications/roots/list_changed" })
          await peer.notification({ method: "notifications/cancelled", params: { requestId: id } })
          return hanging
        })
      )
      assert.instanceOf(error, BackendError.CallFailed)
    })
  )

  it.live("fails where its answer cannot be read, or whoever is told of it throws", () =>
    Effect.gen(function* () {
      const { elsewhere, there } = yield* both
      const broken = elsewhere("two", {
        call: () => Effect.succeed({ _tag: "Answer", isError: false, json: "{", told: 0 })
      })
      const unreadable = yield* Effect.flip(broken.use((peer) => peer.request(call("echo"))))
      assert.instanceOf(unreadable, BackendError.CallFailed)
      const cause = new Error("no")
      const onAnswer = () => {
        throw cause
      }
      const thrown = yield* Effect.flip(there((peer) => peer.request(call("echo"), { onAnswer })))
      assert.strictEqual(thrown._tag === "CallFailed" && thrown.cause, cause)
    })
  )
})

describe("a session that no process has", () => {
  it.live("is waited for no longer than the backend is listed in a process that takes part", () =>
    Effect.gen(function* () {
      const { elsewhere } = yield* both
      const tried = yield* Queue.unbounded<void>()
      const refused = Effect.suspend(() => {
        Queue.offerUnsafe(tried, undefined)
        return Effect.fail("not its owner")
      })
      let isListed = true
      const { pinned, use } = elsewhere(
        "two",
        {
          attach: () => Stream.concat(Stream.make({ _tag: "Attached", session: undefined } as const), Stream.never),
          meet: refused,
          hold: () => Stream.fromEffect(refused)
        },
        () => isListed
      )
      for (const asked of [use((peer) => peer.request(call("echo"))), pinned(() => Effect.void)]) {
        isListed = true
        const waiting = yield* Effect.forkChild(Effect.flip(asked))
        yield* Queue.take(tried)
        isListed = false
        assert.instanceOf(yield* Fiber.join(waiting), BackendError.SessionUnavailable)
        yield* Queue.clear(tried)
      }
    })
  )
})

describe("what a callback has begun", () => {
  const places = ["here", "there"] as const

  it.live.each(places)("sends nothing more when its caller is interrupted: %s", (where) =>
    Effect.gen(function* () {
      const { server, [where]: use } = yield* both
      const further = yield* Deferred.make<string>()
      const interrupted = yield* Effect.forkChild(
        use(async (peer, signal) => {
          await peer.request(call("hang"), { signal }).catch(() => {})
          const sent = await peer.request(call("echo")).then(() => "sent", String)
          Deferred.doneUnsafe(further, Effect.succeed(sent))
        })
      )
      yield* server.untilCalled("hang")
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(yield* Deferred.await(further), "Error: The call is over: nothing more is sent for it")
    })
  )

  it.live.each(places)("is cancelled at the server when the callback fails: %s", (where) =>
    Effect.gen(function* () {
      const { cancelled, [where]: use } = yield* both
      yield* Effect.flip(
        use((peer, signal) =>
          Promise.all([peer.request(call("hang"), { signal }), peer.request({ method: "no/such" }, { signal })])
        )
      )
      // before it has waited for as long as calls wait for an owner
      yield* until("it is cancelled", Effect.sync(cancelled), (count) => count === 1, 3000)
    })
  )

  it.live.each(places)("is told to end when the callback throws: %s", (where) =>
    Effect.gen(function* () {
      const { [where]: use } = yield* both
      let given: AbortSignal | undefined
      yield* Effect.flip(
        use((_, signal) => {
          given = signal
          throw new Error("no")
        })
      )
      assert.isTrue(given?.aborted)
    })
  )
})
