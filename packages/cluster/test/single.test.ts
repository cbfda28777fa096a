/** A cluster of one process: what an app sees of it is what it sees of many. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError, type KeepaliveEvent } from "@vmcp-keepalive/core"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Fiber, Option, Stream } from "effect"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { ClusterBackends } from "../src/index.ts"

const makeServer = () => {
  const server = new McpServer({ name: "echo", version: "1" })
  server.registerTool("echo", {}, () => ({ content: [{ type: "text", text: "echo" }] }))
  return server
}

const echo = { method: "tools/call", params: { name: "echo", arguments: {} } }

const get = (id: string) =>
  Effect.flatMap(ClusterBackends.ClusterBackends, ({ get }) => Effect.map(get(id), Option.getOrThrow))

/** Runs with two backends that have a server each. */
const play = <E>(
  program: (servers: {
    readonly one: TestServer.TestServer
    readonly two: TestServer.TestServer
  }) => Effect.Effect<void, E, ClusterBackends.ClusterBackends>
) =>
  Effect.suspend(() => {
    const servers = { one: TestServer.make({ server: makeServer }), two: TestServer.make({ server: makeServer }) }
    const backends = Object.entries(servers).map(([id, { peerConnector }]) => ({
      id,
      connector: peerConnector,
      policy: { circuit: { failures: 1 } } as const
    }))
    return Effect.andThen(
      Effect.provide(program(servers), ClusterBackends.layerTest(backends)),
      // with its scope every session has ended
      Effect.gen(function* () {
        for (const server of Object.values(servers)) assert.strictEqual((yield* server.sessions).open, 0)
      })
    )
  })

describe("a cluster of one process", () => {
  it.live("keeps every backend that is listed, and says who does", () =>
    play(() =>
      Effect.gen(function* () {
        const cluster = yield* ClusterBackends.ClusterBackends
        assert.deepStrictEqual(yield* cluster.ids, ["one", "two"])
        for (const id of yield* cluster.ids) yield* (yield* get(id)).use((peer) => peer.request(echo))
        const states = yield* cluster.states
        assert.deepStrictEqual(
          [...states].map(([id, { owner, state }]) => [id, owner, state?._tag]),
          [
            ["one", "this process", "Connected"],
            ["two", "this process", "Connected"]
          ]
        )
        assert.strictEqual(yield* (yield* get("one")).owner, "this process")
        assert.isTrue(Option.isNone(yield* cluster.get("three")))
      })
    )
  )

  it.live("takes orders for each of them, and refuses what its state does not allow", () =>
    play(() =>
      Effect.gen(function* () {
        const { command } = yield* ClusterBackends.ClusterBackends
        const backend = yield* get("one")
        yield* backend.use((peer) => peer.request(echo))
        const isolated = yield* command("one", "isolate")
        assert.deepStrictEqual(
          Option.map(isolated, ({ _tag }) => _tag),
          Option.some("Isolated")
        )
        assert.instanceOf(yield* Effect.flip(command("one", "reconnect")), BackendError.CallRejected)
        assert.instanceOf(yield* Effect.flip(backend.probe), BackendError.SessionUnavailable)
        yield* command("one", "reset")
        yield* backend.use((peer) => peer.request(echo))
        assert.isTrue(Option.isNone(yield* command("three", "reset")))
      })
    )
  )

  it.live("tells what happens to all of them", () =>
    play(({ one, two }) =>
      Effect.gen(function* () {
        const { events } = yield* ClusterBackends.ClusterBackends
        for (const id of ["one", "two"]) yield* (yield* get(id)).use((peer) => peer.request(echo))
        const isLost = ({ _tag }: KeepaliveEvent.KeepaliveEvent) =>
          _tag === "SessionExpired" || _tag === "SessionClosed"
        const lost = yield* events.pipe(
          Stream.filter(isLost),
          Stream.map(({ backend }) => backend),
          Stream.take(2),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        yield* one.kill()
        yield* two.kill()
        assert.sameMembers([...(yield* Fiber.join(lost))], ["one", "two"])
      })
    )
  )

  it.live("lists others where it is told so, and those that did not change keep their sessions", () =>
    play(({ one, two }) =>
      Effect.gen(function* () {
        const cluster = yield* ClusterBackends.ClusterBackends
        for (const id of ["one", "two"]) yield* (yield* get(id)).use((peer) => peer.request(echo))
        const third = TestServer.make({ server: makeServer })
        const specOf = (id: string, { peerConnector }: TestServer.TestServer) => ({
          id,
          settings: { kind: "test", connector: peerConnector },
          policy: { circuit: { failures: 1 } } as const
        })
        const changes = yield* cluster.apply([specOf("one", one), specOf("three", third)])
        assert.deepStrictEqual(
          changes.map(({ _tag, id }) => `${_tag} ${id}`),
          ["Removed two", "Added three"]
        )
        yield* (yield* get("three")).use((peer) => peer.request(echo))
        assert.strictEqual((yield* one.sessions).made, 1)
        assert.strictEqual((yield* two.sessions).open, 0)
        yield* cluster.apply([specOf("one", one)])
        assert.strictEqual((yield* third.sessions).open, 0)
      })
    )
  )
})
