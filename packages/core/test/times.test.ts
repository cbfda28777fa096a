/** When it was, how long it took and when it goes on: in states and in the events of calls. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Backend, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const keep = Effect.fnUntraced(function* (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend = yield* Backend.make({
    id: "scripted",
    connector: server.connector,
    policy: { interval: "30 seconds", ...policy }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  const changes = () => events.filter(KeepaliveEvent.KeepaliveEvent.guards.StateChanged)
  const calls = () =>
    events.flatMap((event) =>
      event._tag === "CallStarted"
        ? ["started"]
        : event._tag === "CallSettled"
          ? [`${event.outcome} after ${Duration.toSeconds(event.duration)} s`]
          : []
    )
  return { backend, calls, changes, events }
})

const down = () => {
  const server = ScriptedServer.make()
  server.script.connect = ScriptedServer.unreachable("refused")
  return server
}

describe("a state", () => {
  it.effect("says since when it lasts, however often it is read", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const { backend, changes } = yield* keep(ScriptedServer.make())
      yield* backend.awaitConnected
      const since = Duration.toMillis("1 hour")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* backend.state, { _tag: "Connected", since, generation: 1 })
      assert.strictEqual(yield* backend.state, yield* backend.state)
      assert.strictEqual(changes().at(-1)?.to, yield* backend.state)
    })
  )

  const waiting: ReadonlyArray<readonly [state: string, policy: KeepalivePolicy.Options, seconds: number]> = [
    ["Disconnected", { backoff: Schedule.spaced("7 seconds") }, 7],
    ["CircuitOpen", { circuit: { failures: 1, openFor: "90 seconds" } }, 90]
  ]
  for (const [tag, policy, seconds] of waiting) {
    it.effect(
      `in which an attempt is waited for says when that is due, when it is told and when it is read: ${tag}`,
      () =>
        Effect.gen(function* () {
          yield* TestClock.adjust("1 hour")
          const { backend, changes } = yield* keep(down(), policy)
          yield* TestClock.adjust(0)
          const now = yield* Clock.currentTimeMillis
          const due = now + seconds * 1000
          const told = changes().at(-1)?.to
          assert(told?._tag === "Disconnected" || told?._tag === "CircuitOpen")
          assert.deepStrictEqual([told._tag, told.since, told.nextAttemptAt], [tag, now, due])
          assert.strictEqual(yield* backend.state, told)
          yield* TestClock.adjust(seconds * 1000 - 1)
          assert.strictEqual(yield* backend.state, told)
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(
            changes()
              .slice(-2)
              .map(({ from, to }) => [from._tag, to._tag, to.since]),
            [
              [tag, "Connecting", due],
              ["Connecting", tag, due]
            ]
          )
          assert.strictEqual(changes().at(-2)?.from, told)
        })
    )
  }

  it.effect("that needs credentials says when they are tried again", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.refuse(401)
      const { backend } = yield* keep(server, { circuit: { openFor: "90 seconds" } })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* backend.state, { _tag: "NeedsAuth", since: 0, nextAttemptAt: 90_000 })
    })
  )

  it.effect("whose next attempt no schedule names says so", () =>
    Effect.gen(function* () {
      const { backend } = yield* keep(down(), { backoff: Schedule.spaced(Duration.infinity) })
      yield* TestClock.adjust(0)
      const state = yield* backend.state
      assert.deepStrictEqual([state._tag, "nextAttemptAt" in state && state.nextAttemptAt], ["Disconnected", undefined])
    })
  )

  it.effect("is told after the attempt that is waited for in it was scheduled", () =>
    Effect.gen(function* () {
      const { events } = yield* keep(down(), { circuit: { failures: 1 } })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["Started", "AttemptFailed", "AttemptScheduled", "StateChanged", "CircuitOpened"]
      )
    })
  )
})

describe("a call is told when it begins, and once how it ended and after how long", () => {
  it.effect("with its value, what it waited for included", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, calls } = yield* keep(server, { connect: "lazy" })
      server.script.latency = "2 seconds"
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      assert.deepStrictEqual(calls(), ["started"])
      // the attempt connects and probes
      yield* TestClock.adjust("4 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      assert.deepStrictEqual(calls(), ["started", "ok after 6 s"])
    })
  )

  it.effect("rejected at once, and after it has waited in vain", () =>
    Effect.gen(function* () {
      const { backend, calls } = yield* keep(down(), {
        circuit: { failures: 2 },
        backoff: Schedule.spaced("5 seconds")
      })
      yield* TestClock.adjust(0)
      const waiting = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "CallRejected")
      yield* Effect.flip(backend.use(echo))
      assert.deepStrictEqual(calls(), ["started", "rejected after 5 s", "started", "rejected after 0 s"])
    })
  )

  it.effect("failed, or of unknown outcome", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, calls } = yield* keep(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.error(-32000)
      yield* Effect.flip(backend.use(echo))
      server.script.call = () => ScriptedServer.answer
      server.script.latency = "3 seconds"
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      server.kill("process_exit")
      yield* Fiber.join(call)
      assert.deepStrictEqual(calls(), ["started", "failed after 0 s", "started", "outcome_unknown after 1 s"])
    })
  )

  it.effect("also where its caller interrupts it, while it runs and while it waits", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.latency = "5 seconds"
      const { backend, calls } = yield* keep(server, { connect: "lazy" })
      const waiting = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      const running = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(running)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls(), ["started", "failed after 1 s", "started", "failed after 2 s"])
    })
  )

  it.effect("on a pinned session each by itself; where there is none to pin, as one call that is rejected", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, calls } = yield* keep(server)
      yield* backend.awaitConnected
      yield* backend.pinned(({ use }) => Effect.andThen(use(echo), use(echo)))
      assert.deepStrictEqual(calls(), ["started", "ok after 0 s", "started", "ok after 0 s"])
      yield* backend.isolate
      yield* Effect.flip(backend.pinned(({ use }) => use(echo)))
      assert.deepStrictEqual(calls().slice(4), ["started", "rejected after 0 s"])
    })
  )
})
