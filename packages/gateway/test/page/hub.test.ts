/** What many readers are told of many backends, and what bounds it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Queue, Scope, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as Hub from "../../src/internal/page/hub.ts"
import * as Readers from "../../src/internal/page/readers.ts"
import * as Fleets from "./fleets.ts"

interface Frame {
  readonly event: string
  readonly data: {
    readonly order?: ReadonlyArray<string>
    readonly rows: ReadonlyArray<{ readonly id: string; readonly state: string; readonly tools: number }>
    readonly log: ReadonlyArray<{ readonly backend: string; readonly seq: number }>
  }
}

const decoder = new TextDecoder()

/** One event of a stream of events. */
const parse = (bytes: Uint8Array): Frame => {
  const [, event = "", data = ""] = /^event: (\S+)\nid: \d+\ndata: (.*)\n\n$/.exec(decoder.decode(bytes)) ?? []
  return { event, data: JSON.parse(data) }
}

const open = (hub: Hub.Hub) =>
  Effect.flatMap(hub.open, (frames) => (frames === undefined ? Effect.die("refused") : Effect.succeed(frames)))

/** A moment passes, in which what has changed is sent. */
const moment = TestClock.adjust("200 millis")

describe("a reader of the hub", () => {
  it.effect("gets everything first, and then what changes", () =>
    Effect.gen(function* () {
      const { fleet, get } = yield* Fleets.make(["one", "two"])
      const hub = yield* Hub.make(fleet)
      const frames = yield* open(hub)
      const snapshot = parse(yield* Queue.take(frames))
      assert.strictEqual(snapshot.event, "snapshot")
      assert.deepStrictEqual(snapshot.data.order, ["one", "two"])
      assert.deepStrictEqual(
        snapshot.data.rows.map(({ id, state }) => [id, state]),
        [
          ["one", "Idle"],
          ["two", "Idle"]
        ]
      )
      yield* moment
      yield* Queue.clear(frames)
      const backend = yield* get("two")
      yield* backend.isolate
      yield* moment
      const changes = parse(yield* Queue.take(frames))
      assert.strictEqual(changes.event, "changes")
      assert.deepStrictEqual(
        changes.data.rows.map(({ id, state }) => [id, state]),
        [["two", "Isolated"]]
      )
      assert.deepStrictEqual(
        changes.data.log.map(({ backend }) => backend),
        ["two"]
      )
    })
  )

  it.effect("is told of backends that come and go, in the order of the fleet", () =>
    Effect.gen(function* () {
      const { add, fleet } = yield* Fleets.make(["one", "two"])
      const hub = yield* Hub.make(fleet)
      const frames = yield* open(hub)
      yield* moment
      yield* Queue.clear(frames)
      yield* add("three")
      yield* fleet.remove("one")
      yield* moment
      const orders = (yield* Queue.clear(frames)).map((frame) => parse(frame).data.order)
      assert.deepStrictEqual(orders.at(-1), ["two", "three"])
      assert.isTrue(Option.isNone(yield* hub.details("one")))
    })
  )

  it.effect("has how many tools a backend lists as soon as that is known", () =>
    Effect.gen(function* () {
      const { fleet, get, server } = yield* Fleets.make(["one"])
      server.script.tools = [{ name: "a" }, { name: "<img src=x onerror=alert(1)>" }]
      const hub = yield* Hub.make(fleet)
      const backend = yield* get("one")
      yield* backend.reset
      yield* backend.awaitConnected
      yield* TestClock.adjust("1 second")
      const { backends } = yield* hub.status
      assert.strictEqual(backends[0]?.tools, 2)
      const details = yield* Effect.flatMap(hub.details("one"), Effect.fromOption)
      assert.deepStrictEqual(
        details.lists.tools.map(({ name }) => name),
        ["<img src=x onerror=alert(1)>", "a"]
      )
    })
  )

  it.effect("is told how a backend is reached now, also where that was changed", () =>
    Effect.gen(function* () {
      const { fleet, get, server } = yield* Fleets.make(["one"])
      const hub = yield* Hub.make(fleet)
      const backend = yield* get("one")
      yield* backend.reconfigure({ connector: { ...server.connector, kind: "another" } })
      yield* moment
      assert.deepStrictEqual(
        (yield* hub.status).backends.map(({ kind }) => kind),
        ["another"]
      )
    })
  )

  it.effect("gets at most 17 frames a second, however often something changes", () =>
    Effect.gen(function* () {
      const { fleet, get } = yield* Fleets.make(["one"])
      const hub = yield* Hub.make(fleet)
      const frames = yield* open(hub)
      yield* moment
      yield* Queue.clear(frames)
      const backend = yield* get("one")
      for (let turn = 0; turn < 500; turn++) {
        yield* backend.isolate
        yield* backend.reset
        yield* TestClock.adjust("2 millis")
      }
      const changes = (yield* Queue.clear(frames)).filter((frame) => parse(frame).event === "changes")
      assert.isAtMost(changes.length, 17)
      assert.isAtLeast(changes.length, 5)
    })
  )

  it.effect("shares every frame with all others: it is written once", () =>
    Effect.gen(function* () {
      const { fleet, get } = yield* Fleets.make(Fleets.numbered(1000))
      const hub = yield* Hub.make(fleet)
      yield* moment
      const readers = yield* Effect.replicateEffect(open(hub), 100)
      yield* (yield* get("backend-0500")).isolate
      yield* moment
      const [first, ...others] = yield* Effect.forEach(readers, (frames) => Queue.clear(frames))
      assert.strictEqual(first?.length, 2)
      for (const frames of others) {
        assert.strictEqual(frames.length, 2)
        // the very same bytes
        assert.isTrue(frames.every((frame, index) => frame === first?.[index]))
      }
      assert.deepStrictEqual(
        parse(first?.[1] ?? new Uint8Array()).data.rows.map(({ id }) => id),
        ["backend-0500"]
      )
    })
  )
})

describe("readers", () => {
  it.effect("are as many as there may be, and one more when one has gone", () =>
    Effect.gen(function* () {
      const readers = Readers.make()
      const scope = yield* Scope.make()
      const first = () => new Uint8Array()
      yield* Scope.provide(readers.open(first), scope)
      for (let index = 1; index < Readers.limit; index++) assert.isDefined(yield* readers.open(first))
      assert.isUndefined(yield* readers.open(first))
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(yield* readers.open(first))
    })
  )

  it.effect("that read too slowly are cut off, also while they wait for their socket, and hold no other up", () =>
    Effect.gen(function* () {
      const readers = Readers.make()
      const stuck = Latch.makeUnsafe(false)
      const slow = yield* Effect.forkChild(
        Effect.scoped(
          Effect.andThen(
            readers.open(() => new Uint8Array()),
            stuck.await
          )
        ),
        { startImmediately: true }
      )
      const quick = yield* readers.open(() => new Uint8Array())
      assert.strictEqual(readers.size(), 2)
      let taken = 0
      for (let index = 0; index <= Readers.buffer; index++) {
        readers.send(new Uint8Array([index % 256]))
        if (quick !== undefined) taken += (yield* Queue.clear(quick)).length
      }
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(slow)))
      assert.strictEqual(readers.size(), 1)
      assert.strictEqual(taken, Readers.buffer + 2)
    })
  )
})
