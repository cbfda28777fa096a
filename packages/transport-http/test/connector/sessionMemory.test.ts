/** What a host remembers of the sessions that a server keeps, and what a process does with those that another one has left. */
import { assert, describe, it } from "@effect/vitest"
import type { Connector } from "@vmcp-keepalive/core"
import { McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Redacted, Scope } from "effect"
import { HttpPeerConnector } from "../../src/peer.ts"
import { type Host, makeHost, open } from "./support.ts"

/** A memory that notes what it is told, as others would find it. */
const makeMemory = (left: ReadonlyArray<string> = []) => {
  const began: Array<string> = []
  const ended: Array<string> = []
  const sessions: Connector.SessionMemory = {
    left: left.map((text) => Redacted.make(text)),
    began: (session) => void began.push(Redacted.value(session)),
    ended: (session) => void ended.push(Redacted.value(session))
  }
  return { began, ended, host: { ...makeHost(), sessions } satisfies Host }
}

const peer = (url: string) => HttpPeerConnector.make({ url })

/** Opens a session and lets it be, as a process that is killed does; what it wrote down. */
const leave = (url: string) =>
  Effect.gen(function* () {
    const { began, host } = makeMemory()
    yield* open(peer(url), host)
    assert.lengthOf(began, 1)
    return began
  })

describe("a session that the server keeps", () => {
  it.live("is remembered before it is used, and forgotten when the server has ended it", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { began, ended, host } = makeMemory()
      const { close } = yield* open(peer(server.url), host)
      assert.lengthOf(began, 1)
      assert.deepStrictEqual(ended, [])
      yield* close
      assert.deepStrictEqual(ended, began)
      assert.strictEqual((yield* server.stats).sessions, 0)
    })
  )

  it.live("is remembered also where its opening fails after it has begun", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("notifications/initialized", ScriptedServer.Reaction.Status({ status: 500 }))
      const { began, ended, host } = makeMemory()
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(Scope.provide(peer(server.url).open(host), scope))
      assert.lengthOf(began, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(ended, began, String(exit))
    })
  )

  it.live("is remembered until the server has accepted another one where nobody took its termination", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("DELETE", ScriptedServer.Reaction.Status({ status: 503 }), 2)
      const connector = peer(server.url)
      const { began, ended, host } = makeMemory()
      const { close } = yield* open(connector, host)
      yield* close
      assert.deepStrictEqual(ended, [])
      yield* open(connector, host)
      assert.lengthOf(began, 2)
      assert.deepStrictEqual(ended, began.slice(0, 1))
    })
  )

  it.live("is none where the server keeps nothing", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.sdk2({ era: "modern" })
      const { began, host } = makeMemory()
      const { session } = yield* open(peer(server.url), host)
      assert.isFalse(session.stateful)
      assert.deepStrictEqual(began, [])
    })
  )
})

describe("a session that another process has left", () => {
  it.live(
    "shuts out every other one on a server that allows one only, and is ended before the next one is opened",
    () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make({ singleSession: true })
        const left = yield* leave(server.url)
        const refused = yield* Effect.flip(open(peer(server.url), makeMemory().host))
        assert.deepInclude(refused, { _tag: "Refused", status: 409 })
        const { ended, host } = makeMemory(left)
        yield* open(peer(server.url), host)
        assert.deepStrictEqual(ended, left)
        assert.strictEqual((yield* server.stats).sessions, 1)
      })
  )

  it.live("is told to no other server, and neither is what cannot be read", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const other = yield* ScriptedServer.make()
      const left = [...(yield* leave(other.url)), "{}", "nonsense"]
      const { ended, host } = makeMemory(left)
      yield* open(peer(server.url), host)
      assert.deepStrictEqual(ended, [])
      assert.isFalse((yield* server.requests).some(({ method }) => method === "DELETE"))
    })
  )

  it.live("holds back nobody for long where the server does not answer its termination", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const left = yield* leave(server.url)
      yield* server.react("DELETE", ScriptedServer.Reaction.Hang())
      const { ended, host } = makeMemory(left)
      const at = performance.now()
      yield* open(peer(server.url), host)
      assert.isBelow(performance.now() - at, 2000)
      // the server has accepted another one
      assert.deepStrictEqual(ended, left)
    })
  )
})
