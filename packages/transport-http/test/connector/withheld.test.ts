/** What a host does not let go any more is not sent, also where it was asked for while it still might be. */
import { assert, describe, it } from "@effect/vitest"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { HttpPeerConnector } from "../../src/peer.ts"
import { eventuallyEffect, type Host, makeHost, open } from "./support.ts"

const echo = { method: "tools/call", params: { name: "echo", arguments: { message: "echo" } } }
const slow = { method: "tools/call", params: { name: "slow", arguments: { ms: 60_000 } } }

// What a fetch was handed is not seen any more: it is asked for that before.
describe.each([
  ["the connector's own sender", undefined, "after"],
  ["a fetch of the user's", (url: string | URL, init?: RequestInit) => fetch(url, init), "before"]
] as const)("with %s", (_, fetch, frozen) => {
  it.live(
    `a request and a notification stay here, proven unsent, that were made just ${frozen === "after" ? "before" : "after"}`,
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        let may = true
        const host: Host = { ...makeHost(), maySend: () => may }
        const { session } = yield* open(HttpPeerConnector.make({ url: server.url, fetch }), host)
        const call = session.call(undefined)
        yield* Effect.promise(() => call.client.request(echo))
        const before = (yield* server.requests).length
        // the process was frozen, and somebody else may act now
        if (frozen === "before") may = false
        const under = [
          call.client.request(echo),
          call.client.notification({ method: "notifications/roots/list_changed" })
        ]
        may = false
        const [request, notification] = yield* Effect.promise(() => Promise.allSettled(under))
        assert.strictEqual(request?.status, "rejected")
        assert.strictEqual(notification?.status, "rejected")
        assert.strictEqual(call.requests.at(-1)?.fate, "unsent")
        may = true
        yield* Effect.promise(() => session.call(undefined).client.request(echo))
        assert.lengthOf((yield* server.requests).slice(before), 1)
      })
  )

  it.live("what this side has begun is still ended: a call by its cancellation, the session by its termination", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      let may = true
      const host: Host = { ...makeHost(), maySend: () => may }
      const { close, session } = yield* open(HttpPeerConnector.make({ url: server.url, fetch }), host)
      const cancelling = new AbortController()
      const call = session.call(undefined).client.request(slow, { signal: cancelling.signal })
      const received = (method: string) =>
        Effect.map(server.requests, (all) => all.some(({ rpcMethod }) => rpcMethod === method))
      yield* eventuallyEffect(received("tools/call"))
      may = false
      cancelling.abort()
      yield* Effect.promise(() => Promise.allSettled([call]))
      yield* eventuallyEffect(received("notifications/cancelled"))
      yield* close
      assert.strictEqual((yield* server.stats).sessions, 0)
    })
  )
})
