/** The cluster as the backends of one host: each is a `Backend`, wherever it is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Backend, BackendError, type Changes, type ConnectionState, type KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect, Fiber, Option, Stream } from "effect"
import { member, specs } from "./support/member.ts"
import { make, until } from "./support/world.ts"
import { shared } from "./support/shared.ts"

const lease = 6000
const database = shared()

/** This process and another one, and the backends that each keeps. */
const world = Effect.gen(function* () {
  const made = yield* make({ storage: database(), backends: 12, lease })
  const other = yield* made.replica
  const { address, cluster } = yield* member({ storage: database(), lease, backends: made.backends })
  const keptBy = (owner: string) =>
    Effect.map(cluster.states, (states) =>
      [...states].flatMap(([id, standing]) =>
        standing.owner === owner && standing.state?._tag === "Connected" ? [id] : []
      )
    )
  const spread = Effect.all({ there: keptBy(other.address), here: keptBy(address) })
  const { here, there } = yield* until(
    "both keep some",
    spread,
    ({ here, there }) => here.length > 0 && there.length > 0 && here.length + there.length === made.ids.length
  )
  const get = (id: string) => Effect.map(cluster.fleet.get(id), Option.getOrThrow)
  return { made, other, address, cluster, fleet: cluster.fleet, get, here, there }
})

const work = (tag: string) => ({ method: "tools/call", params: { name: "work", arguments: { tag } } })

describe("the backends of a cluster as those of one host", () => {
  it.live(
    "are backends with everything that one has, the same object for as long as it is listed",
    () =>
      Effect.gen(function* () {
        const { fleet, get, here, made, there } = yield* world
        assert.deepStrictEqual(yield* fleet.ids, made.ids)
        for (const id of [here[0]!, there[0]!]) {
          const backend = yield* get(id)
          assert.isTrue(Backend.isBackend(backend))
          assert.strictEqual(backend, yield* get(id))
          assert.strictEqual((yield* backend.state)._tag, "Connected")
          assert.strictEqual((yield* backend.policy).probe, "ping")
          assert.strictEqual((yield* backend.source).connector.kind, "http")
          yield* backend.awaitConnected
          const lists = yield* until("its lists are read", backend.lists, ({ tools }) => tools.length > 0)
          assert.deepStrictEqual(
            lists.tools.map(({ name }) => name),
            ["work"]
          )
          yield* backend.use((peer, signal) => peer.request(work(id), { signal }))
          assert.instanceOf(yield* Effect.flip(backend.reconfigure({ policy: {} })), BackendError.ConfigurationError)
          yield* backend.isolate
          assert.strictEqual((yield* backend.state)._tag, "Isolated")
          assert.instanceOf(yield* Effect.flip(backend.awaitConnected), BackendError.CallRejected)
          assert.instanceOf(yield* Effect.flip(backend.reconnect), BackendError.CallRejected)
          yield* backend.reset
          yield* backend.awaitConnected
        }
        assert.deepStrictEqual(
          new Set([...(yield* fleet.states).values()].map(({ _tag }) => _tag)),
          new Set(["Connected"] as const)
        )
      }),
    120_000
  )

  it.live(
    "go on with the next owner where theirs is killed: the state, the events, and what may have changed meanwhile",
    () =>
      Effect.gen(function* () {
        const { fleet, get, other, there } = yield* world
        const id = there[0]!
        const backend = yield* get(id)
        const states: Array<ConnectionState.ConnectionState> = []
        const events: Array<KeepaliveEvent.KeepaliveEvent> = []
        const changes: Array<Changes.Change> = []
        const collect = <A>(into: Array<A>, stream: Stream.Stream<A>) =>
          Effect.forkChild(
            Stream.runForEach(stream, (item) => Effect.sync(() => void into.push(item))),
            { startImmediately: true }
          )
        yield* collect(states, backend.changes)
        yield* collect(
          events,
          Stream.filter(fleet.events, (event) => event.backend === id)
        )
        yield* collect(changes, backend.listen({ tools: true }))
        yield* until(
          "it is followed",
          Effect.sync(() => states.length > 0 && events.some(({ _tag }) => _tag === "ProbeSent")),
          (isFollowed) => isFollowed
        )
        const before = events.length
        yield* other.signal("SIGKILL")
        yield* until(
          "it reads as unkept",
          backend.state,
          (state) => state._tag === "Disconnected" && state.reason === "unknown"
        )
        yield* backend.awaitConnected
        assert.strictEqual((yield* backend.state)._tag, "Connected")
        yield* until(
          "all is told",
          Effect.sync(() => [
            states.at(-1)?._tag,
            changes.length,
            events.slice(before).some(({ _tag }) => _tag === "AttemptSucceeded")
          ]),
          ([state, changed, isOpened]) => state === "Connected" && changed === 1 && isOpened === true
        )
        const [first, second] = states
        assert.deepStrictEqual([first?._tag, second?._tag], ["Connected", "Disconnected"])
        const told = events.slice(before)
        const tags = told.map((event) => (event._tag === "StateChanged" ? event.to._tag : event._tag))
        assert.strictEqual(tags.filter((tag) => tag === "AttemptSucceeded").length, 1)
        assert.isBelow(tags.indexOf("Disconnected"), tags.indexOf("Connected"))
        assert.notInclude(tags, "Closed")
        assert.deepStrictEqual(changes, [{ _tag: "List", kind: "tools" }])
      }),
    120_000
  )

  it.live(
    "are what this process lists: it is told of what that changes, and of another connection when its source is the new one",
    () =>
      Effect.gen(function* () {
        const { address, fleet, get, made, other, there } = yield* world
        const [moved, removed] = there
        const told: Array<string> = []
        const sources: Array<unknown> = []
        const before = (yield* (yield* get(moved!)).source).connector
        yield* Effect.forkChild(
          Stream.runForEach(fleet.changes, ({ _tag, id }) => Effect.sync(() => void told.push(`${_tag} ${id}`))),
          { startImmediately: true }
        )
        yield* Effect.forkChild(
          Stream.runForEach(
            Stream.filter(fleet.events, ({ _tag }) => _tag === "Reconfigured"),
            ({ backend }) =>
              Effect.map(
                Effect.flatMap(get(backend), ({ source }) => source),
                ({ connector }) => sources.push(connector)
              )
          ),
          { startImmediately: true }
        )
        const kept = yield* get(removed!)
        const next = Object.fromEntries(
          Object.entries(made.backends)
            .filter(([id]) => id !== removed)
            .map(([id, url]) => [id, id === moved ? made.farm.url("elsewhere") : url])
        )
        yield* other.ask({ ask: "apply", backends: next })
        yield* fleet.apply(specs(address, next))
        yield* until(
          "it is told",
          Effect.sync(() => [told.length, sources.length]),
          ([changes, events]) => changes === 2 && events === 1
        )
        assert.sameMembers(told, [`Removed ${removed}`, `Replaced ${moved}`])
        assert.notStrictEqual(sources[0], before)
        assert.strictEqual((yield* kept.state)._tag, "Closed")
        assert.instanceOf(yield* Effect.flip(kept.awaitConnected), BackendError.CallRejected)
        assert.isTrue(Option.isNone(yield* fleet.get(removed!)))
      }),
    120_000
  )

  it.live(
    "are ready when every one that is required is connected, and tell which is not",
    () =>
      Effect.gen(function* () {
        const made = yield* make({ storage: database(), backends: 2, lease })
        yield* made.replica
        const { cluster } = yield* member({
          storage: database(),
          lease,
          backends: { ...made.backends, dark: "http://127.0.0.1:1/" },
          policy: { required: true },
          policies: { dark: { startDeadline: "6 seconds" } }
        })
        const waiting = yield* Effect.forkChild(Effect.flip(cluster.fleet.ready))
        const { backends } = yield* Fiber.join(waiting)
        assert.deepStrictEqual(
          backends.map(({ backend }) => backend),
          ["dark"]
        )
      }),
    120_000
  )
})
