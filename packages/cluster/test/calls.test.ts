/** Calls to backends that another process keeps, while processes die: what the servers executed is the truth. */
import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { member } from "./support/member.ts"
import { make, type Replica, type Storage, storage, until } from "./support/world.ts"
import { shared } from "./support/shared.ts"

const lease = 4000
const database = shared()

/** Two replicas, and the backends that the second one keeps. */
const worldOf = Effect.fnUntraced(function* (storage: Storage, lease: number, shards?: number) {
  const made = yield* make({ storage, backends: 12, lease, options: shards === undefined ? {} : { shards } })
  const replicas = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
  const [caller, owner] = replicas
  const owners = yield* until(
    "both keep some",
    made.owners(caller),
    (owners) => owners.size === made.ids.length && new Set(owners.values()).size === 2
  )
  const ids = [...owners].flatMap(([id, address]) => (address === owner.address ? [id] : []))
  return { made, caller, owner, ids, executed: (tag: string) => made.farm.executed().filter((one) => one.tag === tag) }
})
const world = Effect.suspend(() => worldOf(database(), lease))

const text = (answer: unknown) => JSON.stringify(answer)

const settledAs = (replica: Replica, question: Parameters<Replica["ask"]>[0]) =>
  Effect.match(replica.ask(question), { onFailure: (error) => error, onSuccess: () => "ok" })

describe("a call to a backend that another process keeps", () => {
  it.live("is executed there, once, and its answer comes back", () =>
    Effect.gen(function* () {
      const { caller, executed, ids, owner } = yield* world
      for (const id of ids) {
        const answer = yield* caller.ask({ ask: "call", id, tag: `one ${id}` })
        assert.include(text(answer), `one ${id}`)
        assert.deepStrictEqual(
          executed(`one ${id}`).map(({ backend, replica }) => [backend, replica]),
          [[id, owner.address]]
        )
      }
    })
  )

  it.live("has an unknown outcome at once where the other process is killed, and is never made again", () =>
    Effect.gen(function* () {
      const { caller, executed, ids, made, owner } = yield* world
      const id = ids[0]!
      const [flying, again] = yield* Effect.all(
        ["flying", "again"].map((tag) =>
          Effect.forkChild(
            Effect.map(
              settledAs(caller, { ask: "call", id, tag, ms: 30_000, idempotent: tag === "again" }),
              (outcome) => ({
                outcome,
                at: Date.now()
              })
            )
          )
        )
      )
      yield* until(
        "both are executed",
        Effect.sync(() => made.farm.executed().length),
        (count) => count === 2
      )
      const killed = Date.now()
      yield* owner.signal("SIGKILL")
      const { at, outcome } = yield* Fiber.join(flying!)
      assert.strictEqual(outcome, "OutcomeUnknown")
      assert.isBelow(at - killed, 1000)

      // nothing of it was written: it waits for the next owner
      const waiting = yield* caller.ask({ ask: "call", id, tag: "waiting" })
      assert.include(text(waiting), "waiting")
      assert.deepStrictEqual(
        executed("waiting").map(({ replica }) => replica),
        [caller.address]
      )
      yield* until(
        "what may be made again is",
        Effect.sync(() => executed("again").length),
        (count) => count === 2
      )
      yield* Fiber.interrupt(again!)
      assert.strictEqual(executed("flying").length, 1)
    })
  )

  it.live("is executed at most once, and told so truly, while processes end and die under many of them", () =>
    Effect.gen(function* () {
      const { caller, executed, made, owner } = yield* world
      const outcomes = new Map<string, string>()
      const calls = { areOver: false }
      const calling = (worker: number) =>
        Effect.gen(function* () {
          for (let count = 0; !calls.areOver; count++) {
            const tag = `${worker}-${count}`
            const id = made.ids[(worker + count) % made.ids.length]!
            outcomes.set(tag, yield* settledAs(caller, { ask: "call", id, tag, ms: count % 20 }))
          }
        })
      const workers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 16 }, (_, index) => index),
          calling,
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.sleep("1 second")
      yield* owner.signal("SIGKILL")
      const second = yield* made.replica
      yield* until("the second one keeps some", made.owners(caller), (owners) =>
        [...owners.values()].includes(second.address)
      )
      yield* Effect.sleep("1 second")
      yield* second.signal("SIGTERM")
      yield* second.exited
      yield* Effect.sleep("1 second")
      calls.areOver = true
      yield* Fiber.join(workers)

      const twice = [...outcomes.keys()].filter((tag) => executed(tag).length > 1)
      const deniedButDone = [...outcomes].filter(
        ([tag, outcome]) => outcome !== "ok" && outcome !== "OutcomeUnknown" && executed(tag).length > 0
      )
      const okButNot = [...outcomes].filter(([tag, outcome]) => outcome === "ok" && executed(tag).length !== 1)
      assert.deepStrictEqual([twice, deniedButDone, okButNot], [[], [], []])
      const told = [...outcomes.values()]
      assert.isAbove(told.filter((outcome) => outcome === "ok").length, 100)
      // every one was settled, and none had to be refused
      assert.sameMembers([...new Set(told)], ["ok", "OutcomeUnknown"])
    })
  )
})

describe("a call in a process that has left the cluster", () => {
  it.live("fails with an error that callers know, and is no interruption of whoever makes it", () =>
    Effect.gen(function* () {
      const { backends, ids } = yield* make({ storage: database(), backends: 1, lease })
      const id = ids[0]!
      const left = member({ storage: database(), lease, backends }).pipe(
        Effect.flatMap(({ cluster }) => cluster.get(id)),
        Effect.map(Option.getOrThrow),
        Effect.scoped
      )
      const backend = yield* left
      const call = backend.use((peer) => peer.request({ method: "tools/list" }))
      const pinned = backend.pinned(({ use }) => use((peer) => peer.request({ method: "tools/list" })))
      for (const asking of [call, pinned])
        assert.instanceOf(yield* Effect.flip(asking), BackendError.SessionUnavailable)
    })
  )

  it.live("ends, as all does that was begun before: what it follows, and waits for", () =>
    Effect.gen(function* () {
      const { backends, farm, ids, owners, replica } = yield* make({ storage: database(), backends: 6, lease })
      const other = yield* replica
      const scope = yield* Scope.make()
      const { address, cluster } = yield* Scope.provide(member({ storage: database(), lease, backends }), scope)
      const kept = yield* until(
        "both keep some",
        owners(other),
        (owners) => owners.size === ids.length && new Set(owners.values()).size === 2
      )
      const of = (isOwn: boolean) => {
        const id = ids.find((id) => (kept.get(id) === address) === isOwn)!
        return Effect.map(cluster.fleet.get(id), Option.getOrThrow)
      }
      const [own, theirs] = [yield* of(true), yield* of(false)]
      const list = (peer: Peer.Peer) => peer.request({ method: "tools/list" })
      let closed = false
      yield* theirs.use((peer) => {
        peer.listen({ onNotification: () => {}, onClose: () => (closed = true) })
        return list(peer)
      })
      const following = yield* Effect.forEach(
        [own, theirs].flatMap((backend) => [backend.changes, backend.events, backend.listen({ tools: true })]),
        (told) => Effect.forkChild(Stream.runDrain<unknown, never, never>(told), { startImmediately: true })
      )
      const ofAll = yield* Effect.forEach([cluster.events, cluster.fleet.events, cluster.fleet.changes], (told) =>
        Effect.forkChild(Stream.runDrain<unknown, never, never>(told), { startImmediately: true })
      )
      const written = yield* Effect.forkChild(
        Effect.flip(
          theirs.use((peer) =>
            peer.request({ method: "tools/call", params: { name: "sleep", arguments: { ms: 60_000, tag: "written" } } })
          )
        )
      )
      yield* until(
        "it is executed",
        Effect.sync(() => farm.executed().length),
        (count) => count === 1
      )
      yield* Scope.close(scope, Exit.void)
      assert.instanceOf(yield* Fiber.join(written), BackendError.OutcomeUnknown)
      yield* Fiber.joinAll([...following, ...ofAll])
      assert.isTrue(closed)
      for (const backend of [own, theirs]) {
        assert.instanceOf(yield* Effect.flip(backend.use(list)), BackendError.SessionUnavailable)
        assert.instanceOf(yield* Effect.flip(backend.awaitConnected), BackendError.CallRejected)
      }
    })
  )
})

describe("a call under way in a process that ends", () => {
  it.live("is waited for there, and no backend of another shard is held back by it", () =>
    Effect.gen(function* () {
      // of 24 each of the twelve has one to itself
      const { caller, ids, made, owner } = yield* worldOf(yield* storage, 15_000, 24)
      const [first, ...others] = ids
      const order: Array<string> = []
      const called = (id: string, ms: number) =>
        Effect.map(settledAs(caller, { ask: "call", id, tag: `ending ${id}`, ms }), (outcome) => {
          order.push(outcome)
        })
      const long = yield* Effect.forkChild(called(first!, 60_000))
      yield* until(
        "it is executed",
        Effect.sync(() => made.farm.executed().length),
        (count) => count === 1
      )
      yield* owner.signal("SIGTERM")
      yield* Effect.forEach(others, (id) => called(id, 0), { concurrency: "unbounded" })
      yield* Fiber.join(long)
      assert.deepStrictEqual(order, [...others.map(() => "ok"), "OutcomeUnknown"])
      assert.strictEqual(made.farm.executed().length, ids.length)
    })
  )
})
