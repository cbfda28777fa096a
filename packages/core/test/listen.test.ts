/** What a backend hears of changes, across its sessions. In virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, Changes, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const { list, resource } = Changes

const everything = { tools: true, prompts: true, resources: true, uris: ["note://1", "note://2", "note://1"] }
const afterGap = [list("tools"), list("prompts"), list("resources"), resource("note://1"), resource("note://2")]

const moment = TestClock.adjust("10 millis")

const keep = Effect.fnUntraced(function* (
  options: ScriptedServer.Options = {},
  policy: KeepalivePolicy.Options = {},
  events: Array<KeepaliveEvent.KeepaliveEvent> = []
) {
  const server = ScriptedServer.make(options)
  const backend = yield* Backend.make({
    id: "scripted",
    connector: server.connector,
    policy: { interval: "30 seconds", probe: "none", stableAfter: 0, backoff: { initial: "1 second" }, ...policy }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(event))))
  yield* moment
  return { backend, server }
})

/** Listens until `stop`; `told`: what was heard since it was asked last. */
const listen = Effect.fnUntraced(function* (backend: Backend.Backend<unknown>, filter: Changes.Filter = everything) {
  const all: Array<Changes.Change> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(backend.listen(filter), (change) => Effect.sync(() => void all.push(change))),
    { startImmediately: true }
  )
  yield* moment
  const told = Effect.andThen(
    moment,
    Effect.sync(() => all.splice(0))
  )
  return { fiber, told, stop: Fiber.interrupt(fiber) }
})

describe("a backend that is listened to", () => {
  it.effect("hears what the server tells of, and nothing else", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const { told } = yield* listen(backend, { tools: true, uris: ["note://1"] })
      assert.deepStrictEqual(yield* told, [])
      for (const change of [list("prompts"), list("tools"), resource("note://1"), resource("note://3")])
        server.changed(change)
      assert.deepStrictEqual(yield* told, [list("tools"), resource("note://1")])
    })
  )

  it.effect("hears of everything at first where that is wanted, whatever the server tells of, and once", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep({}, { connect: "lazy" })
      const heard: Array<Changes.Change> = []
      yield* Effect.forkChild(
        Stream.runForEach(backend.listen(everything, { initially: true }), (change) =>
          Effect.sync(() => void heard.push(change))
        )
      )
      yield* moment
      assert.deepStrictEqual(heard, [])
      yield* backend.use((client) => client.callTool("echo"))
      yield* moment
      assert.deepStrictEqual(heard.splice(0), afterGap)
      server.kill("process_exit")
      yield* backend.use((client) => client.callTool("echo"))
      yield* moment
      assert.deepStrictEqual(heard, afterGap)
    })
  )

  for (const end of ["kill", "reconnect", "isolate"] as const)
    it.effect(`hears of everything once after each gap, and of changes as before: ${end}`, () =>
      Effect.gen(function* () {
        const { backend, server } = yield* keep()
        const { told } = yield* listen(backend)
        for (let gap = 0; gap < 3; gap++) {
          if (end === "kill") server.kill("process_exit")
          else if (end === "reconnect") yield* backend.reconnect
          else yield* Effect.andThen(backend.isolate, backend.reset)
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(yield* told, afterGap)
          assert.strictEqual(server.counts.listening, 1)
          server.changed(list("tools"))
          assert.deepStrictEqual(yield* told, [list("tools")])
        }
      })
    )

  it.effect("hears of everything once, however many attempts and sessions there were before one listened again", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const { told } = yield* listen(backend)
      server.script.connect = ScriptedServer.unreachable()
      server.kill("process_exit")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* told, [])
      // a session that ends before the server has acknowledged
      server.script.connect = ScriptedServer.answer
      server.script.latency = "2 seconds"
      yield* backend.reset
      yield* TestClock.adjust("3 seconds")
      server.kill("process_exit")
      assert.deepStrictEqual(yield* told, [])
      server.script.latency = 0
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* told, afterGap)
    })
  )

  it.effect("that has no session yet hears on its first one, of nothing that was before", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep({}, { connect: "lazy" })
      const { told } = yield* listen(backend)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(server.counts.attempts, 0)
      yield* backend.use((client) => client.callTool("echo"))
      assert.deepStrictEqual(yield* told, [])
      server.changed(list("tools"))
      assert.deepStrictEqual(yield* told, [list("tools")])
    })
  )

  it.effect("without sessions is asked nothing for it, and an idle one sleeps all the same", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep(
        { era: "modern", stateful: false },
        { probe: "auto", idleAfter: "2 hours" }
      )
      const { told } = yield* listen(backend)
      yield* TestClock.adjust("1 hour")
      const { attempts, lists, probes } = server.counts
      assert.deepStrictEqual({ attempts, lists, probes }, { attempts: 1, lists: 3, probes: 0 })
      yield* TestClock.adjust("2 hours")
      assert.strictEqual((yield* backend.state)._tag, "Idle")
      assert.deepStrictEqual([server.counts.attempts, server.counts.listening], [1, 0])
      assert.deepStrictEqual(yield* told, [])
      yield* backend.use((client) => client.callTool("echo"))
      assert.deepStrictEqual(yield* told, afterGap)
    })
  )

  it.effect("connects and drains no later for it, and no call is counted", () =>
    Effect.gen(function* () {
      const events: Array<KeepaliveEvent.KeepaliveEvent> = []
      const { backend, server } = yield* keep({}, { drainTimeout: "1 minute" }, events)
      server.script.latency = "1 second"
      yield* listen(backend)
      yield* TestClock.adjust("2 seconds")
      const reconnecting = yield* Effect.forkChild(backend.reconnect, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reconnecting)
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      assert.strictEqual(server.counts.open, 1)
      assert.strictEqual(server.counts.listening, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.counts.listening, 1)
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "CallStarted" || _tag === "SessionDraining"),
        []
      )
    })
  )

  it.effect("is listened to by several, each of whom hears for itself", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const one = yield* listen(backend, { tools: true })
      const other = yield* listen(backend, { prompts: true })
      server.changed(list("tools"))
      assert.deepStrictEqual([yield* one.told, yield* other.told], [[list("tools")], []])
      yield* one.stop
      assert.strictEqual(server.counts.listening, 1)
      server.kill("process_exit")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([yield* one.told, yield* other.told], [[], [list("prompts")]])
    })
  )

  it.effect("hears of everything after each session where its transport hears nothing", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep({ listens: false })
      const { told } = yield* listen(backend)
      server.changed(list("tools"))
      assert.deepStrictEqual(yield* told, [])
      server.kill("process_exit")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* told, afterGap)
    })
  )
})

describe("the end of listening", () => {
  it.effect("is the end of its scope: the server is told, and hears of it no more", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const scope = yield* Scope.make()
      yield* Stream.runDrain(backend.listen(everything)).pipe(Effect.forkIn(scope, { startImmediately: true }))
      yield* moment
      assert.strictEqual(server.counts.listening, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(server.counts.listening, 0)
      server.kill("process_exit")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(server.counts.listening, 0)
    })
  )

  it.effect("is that of the backend, also where it had ended before", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { backend, server } = yield* Scope.provide(keep(), scope)
      const { fiber } = yield* listen(backend)
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([server.counts.listening, server.counts.open], [0, 0])
      assert.deepStrictEqual(yield* Stream.runCollect(backend.listen(everything)), [])
    })
  )
})

describe("a slow reader", () => {
  /** Takes one, and the next when it is told to. */
  const slowly = Effect.fnUntraced(function* (backend: Backend.Backend<unknown>, filter: Changes.Filter) {
    const taken: Array<Changes.Change> = []
    let goOn: (effect: Effect.Effect<void>) => void = () => {}
    yield* Effect.forkChild(
      Stream.runForEach(backend.listen(filter), (change) =>
        Effect.callback<void>((resume) => {
          taken.push(change)
          goOn = resume
        })
      ),
      { startImmediately: true }
    )
    yield* moment
    const all = Effect.gen(function* () {
      for (let count = 0; count !== taken.length;) {
        count = taken.length
        goOn(Effect.void)
        yield* moment
      }
      return taken.splice(0)
    })
    return { taken, all }
  })

  it.effect("is told once of what has changed often, and loses nothing", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const { all, taken } = yield* slowly(backend, everything)
      server.changed(list("tools"))
      yield* moment
      for (let count = 0; count < 10_000; count++) {
        server.changed(list("tools"))
        server.changed(resource("note://1"))
        server.changed(list("prompts"))
      }
      assert.deepStrictEqual(taken, [list("tools")])
      assert.deepStrictEqual(yield* all, [list("tools"), list("tools"), list("prompts"), resource("note://1")])
    })
  )

  it.effect("has no more waiting than a bound, and is told then of what it asked for", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* keep()
      const { all } = yield* slowly(backend, { uris: ["file:///a", "file:///b"] })
      server.changed(resource("file:///b"))
      yield* moment
      server.changed(resource(`file:///b/${"x".repeat(3000)}`))
      for (let count = 0; count < 5000; count++) server.changed(resource(`file:///b/${count}`))
      const heard = yield* all
      assert.isAtMost(heard.length, 1 + 1024 + 2)
      assert.isAbove(heard.length, 1000)
      for (const uri of ["file:///a", "file:///b", "file:///b/0"]) assert.deepInclude(heard, resource(uri))
      assert.isTrue(heard.every((change) => change._tag === "Resource" && change.uri.length < 100))
    })
  )
})
