/** Lists that stay true, over stdio: a real server changes what it lists, and says so between its answers. */
import { assert, describe } from "@effect/vitest"
import { Backend, KeepaliveEvent, type Lists } from "@vmcp-keepalive/core"
import { type McpServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { Peer, StdioPeerConnector } from "../../src/peer.ts"
import { calm, eventually, keep, only, together } from "./support.ts"

const listing = (kind: Lists.Kind, entries: ReadonlyArray<unknown>, times = 1): McpServer.Call => ({
  name: "list",
  arguments: { kind, entries, times }
})

type Event = KeepaliveEvent.KeepaliveEvent

const changesIn = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) =>
    event._tag === "ListChanged"
      ? [{ kind: event.kind, added: event.added, removed: event.removed, changed: event.changed }]
      : []
  )

/** Waits until so much was told. */
const untilTold = (events: ReadonlyArray<Event>, count: number) =>
  eventually(
    Effect.sync(() => changesIn(events)),
    (changes) => changes.length >= count
  )

describe("a child that says list_changed", () => {
  const promise = together()

  promise("is followed: a schema, a prompt, a resource", () =>
    Effect.gen(function* () {
      const kept = yield* keep(yield* StdioServers.scripted({ lists: true }), {
        policy: { removalGrace: 0, confirmInterval: "100 millis" }
      })
      const [first] = yield* untilTold(kept.events, 1)
      assert.strictEqual(first?.kind, "tools")
      assert.include(first?.added ?? [], "echo")

      yield* kept.call(listing("tools", [{ name: "echo", description: "another one" }]))
      yield* untilTold(kept.events, 2)
      yield* kept.call(listing("prompts", [{ name: "greet" }]))
      yield* untilTold(kept.events, 3)
      yield* kept.call(listing("resources", [{ uri: "file:///a" }, { uri: "file:///b" }]))
      yield* untilTold(kept.events, 4)
      yield* kept.call(listing("resources", [{ uri: "file:///b" }]))
      yield* untilTold(kept.events, 5)
      assert.deepStrictEqual(changesIn(kept.events).slice(1), [
        { kind: "tools", added: [], removed: [], changed: ["echo"] },
        { kind: "prompts", added: ["greet"], removed: [], changed: [] },
        { kind: "resources", added: ["file:///a", "file:///b"], removed: [], changed: [] },
        { kind: "resources", added: [], removed: ["file:///a"], changed: [] }
      ])
    })
  )

  promise("and dies keeps what it had, and the next one is compared with it", () =>
    Effect.gen(function* () {
      const kept = yield* keep(yield* StdioServers.scripted({ lists: true }), {
        policy: { removalGrace: "100 millis" }
      })
      yield* untilTold(kept.events, 1)
      yield* kept.call(listing("prompts", [{ name: "greet" }]))
      yield* untilTold(kept.events, 2)
      kept.signal("SIGKILL")
      yield* kept.event("SessionClosed")
      assert.deepStrictEqual(
        (yield* kept.backend.lists).prompts.map(({ name }) => name),
        ["greet"]
      )
      // what was told to this process was forgotten with it
      const [, , third] = yield* untilTold(kept.events, 3)
      assert.deepStrictEqual(third, { kind: "prompts", added: [], removed: ["greet"], changed: [] })
      assert.strictEqual(only(kept.events, "AttemptSucceeded").length, 2)
    })
  )

  promise("in a flood is read twice, and is answered meanwhile", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted({ lists: true })
      let lists = 0
      const heard: Array<string> = []
      const events: Array<Event> = []
      const { args, command } = server
      const connector = StdioPeerConnector.make({
        command,
        args,
        peer: () => Peer.make({ onMessage: ({ method }) => void heard.push(method) })
      })
      const backend = yield* Backend.make({
        id: "flood",
        connector: {
          ...connector,
          open: (host) =>
            Effect.map(connector.open(host), (session) => ({
              ...session,
              list: (kind: Lists.Kind) => {
                lists++
                return session.list(kind)
              }
            }))
        },
        policy: { ...calm, confirmInterval: "1 minute" }
      }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
      yield* backend.awaitConnected
      yield* untilTold(events, 1)
      yield* eventually(
        Effect.sync(() => lists),
        (count) => count === 3
      )
      const call = (params: McpServer.Call) =>
        backend.use((peer, signal) => peer.request({ method: "tools/call", params: { ...params } }, { signal }))
      yield* call(listing("resources", [{ uri: "file:///a" }], 20_000))
      assert.include(JSON.stringify(yield* call(server.echo("still there"))), "still there")
      yield* eventually(
        Effect.sync(() => heard.length),
        (count) => count === 20_000
      )
      yield* untilTold(events, 2)
      yield* call(server.echo("and still"))
      assert.isAtMost(lists, 3 + 2)
      assert.deepStrictEqual(
        (yield* backend.lists).resources.map(({ name }) => name),
        ["file:///a"]
      )
    })
  )
})
