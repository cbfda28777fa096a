/** A backend that has more calls than it may have, whose calls may be run again, and whose sessions have an end. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Backend, BackendError, CallLimit, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

type Scripted = Backend.Backend<ScriptedServer.ScriptedClient>

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}, id = "scripted") =>
  Backend.make({ id, connector: server.connector, policy: { interval: "30 seconds", ...policy } })

/** A backend that is connected, its crowd of callers, and what it tells of itself. */
const kept = Effect.fnUntraced(function* (
  server: ScriptedServer.ScriptedServer,
  policy: KeepalivePolicy.Options = {},
  id = "scripted"
) {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const observing = KeepaliveEvent.layerObserver((event) => void events.push(event))
  const backend = yield* Effect.provide(make(server, policy, id), observing)
  yield* backend.awaitConnected
  const crowd = new Crowd(backend, yield* Effect.context<never>())
  const count = (tag: KeepaliveEvent.KeepaliveEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
  return { backend, crowd, events, count, queued: () => count("CallQueued") - count("CallDequeued") }
})

/** Many calls, each by its name: which of them run, and how each has ended. */
class Crowd {
  readonly backend: Scripted
  readonly #context: Context.Context<never>
  /** in the order in which they began to run, each time they did */
  readonly began: Array<string> = []
  readonly running = new Set<string>()
  mostRunning = 0
  readonly ended = new Map<string, Exit.Exit<string, unknown>>()
  readonly fibers = new Map<string, Fiber.Fiber<string, unknown>>()

  constructor(backend: Scripted, context: Context.Context<never>) {
    this.backend = backend
    this.#context = context
  }

  /** What a call does. */
  readonly callback = (name: string) => async (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => {
    this.began.push(name)
    this.running.add(name)
    this.mostRunning = Math.max(this.mostRunning, this.running.size)
    try {
      return await client.callTool(name, { signal })
    } finally {
      this.running.delete(name)
    }
  }

  call(name: string, options: Backend.UseOptions = {}): void {
    this.run(name, this.backend.use(this.callback(name), options))
  }

  run(name: string, call: Effect.Effect<string, unknown>): void {
    const fiber = Effect.runForkWith(this.#context)(call)
    this.fibers.set(name, fiber)
    fiber.addObserver((exit) => void this.ended.set(name, exit))
  }

  /** How a call has ended: with its name, or by the reason and the kind of its error. */
  endOf(name: string): string {
    const exit = this.ended.get(name)
    if (exit === undefined) return "under way"
    if (Exit.isSuccess(exit)) return "ok"
    const error = Cause.squash(exit.cause)
    if (!BackendError.is(error)) return "interrupted"
    return "reason" in error && error.reason !== undefined ? `${error._tag}: ${error.reason}` : error._tag
  }

  /** how many ended so */
  count(end: string): number {
    return [...this.fibers.keys()].filter((name) => this.endOf(name) === end).length
  }

  error(name: string): BackendError.BackendError {
    const exit = this.ended.get(name)
    const error = exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    assert(BackendError.is(error), `${name} has failed`)
    return error
  }
}

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `${from + index}`)

/** What a callback does when its signal was aborted, it does with the next turn of the event loop. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Time passes in steps, so that what ends in one leads to what begins in the next. */
const pass = (total: Duration.Input, step: Duration.Input = "100 millis") =>
  Effect.repeat(TestClock.adjust(step), {
    times:
      Math.round(
        Duration.toMillis(Duration.fromInputUnsafe(total)) / Duration.toMillis(Duration.fromInputUnsafe(step))
      ) - 1
  })

describe("a backend with maxConcurrent: 8 and a queue of 100", () => {
  const policy = { maxConcurrent: 8, queue: 100 } as const

  it.effect("of 5,000 calls at once admits 108, in order, and rejects the others in under 1 ms each, with a time", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { count, crowd, events, queued } = yield* kept(server, policy)
      server.script.latency = "100 millis"
      // until a call has ended nobody knows how long one takes
      for (const name of numbers(8)) crowd.call(`first ${name}`)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(crowd.count("ok"), 8)

      const took: Array<number> = []
      for (const name of numbers(5000)) {
        const began = performance.now()
        crowd.call(name)
        if (crowd.ended.has(name)) took.push(performance.now() - began)
      }
      assert.strictEqual(crowd.running.size, 8)
      assert.strictEqual(queued(), 100)
      assert.strictEqual(crowd.count("CallRejected: overloaded"), 4892)
      assert.deepStrictEqual([crowd.endOf("107"), crowd.endOf("108")], ["under way", "CallRejected: overloaded"])
      const error = crowd.error("4999")
      assert(error._tag === "CallRejected" && error.retryAfter !== undefined)
      assert.strictEqual(error.state, "Connected")

      const began = crowd.began.length - 8
      assert.strictEqual(began, 8)
      let passed = 0
      while (queued() > 0) {
        yield* TestClock.adjust("100 millis")
        passed += 100
      }
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(crowd.count("ok"), 116)
      assert.deepStrictEqual(crowd.began.slice(8), numbers(108))
      assert.strictEqual(crowd.mostRunning, 8)
      assert.strictEqual(count("CallStarted"), 5008)
      assert.strictEqual(count("CallSettled"), 5008)
      const rejected = events.filter((event) => event._tag === "CallSettled" && event.outcome === "rejected")
      assert.isTrue(rejected.every((event) => event._tag === "CallSettled" && event.reason === "overloaded"))

      // the last of those that waited begins when the queue is empty: a tenth more or less is about right
      const told = Duration.toMillis(error.retryAfter)
      const slowest = Math.max(...took)
      const sorted = took.toSorted((a, b) => a - b)
      const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
      console.log(
        `5,000 calls, maxConcurrent 8, queue 100: ${crowd.mostRunning} ran at a time, ${crowd.count("ok") - 8} in order, ` +
          `${took.length} rejected in ${(median * 1000).toFixed(0)} µs each (slowest ${slowest.toFixed(2)} ms); ` +
          `told to come again in ${told.toFixed(0)} ms, the queue was through in ${passed} ms`
      )
      assert.isBelow(median, 1)
      assert.approximately(told, passed, passed * 0.1)
    })
  )

  it.effect("admits as many while there is no session, each for as long as it would wait without a limit", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, crowd } = yield* kept(server, { ...policy, circuit: "none", stableAfter: 0 })
      yield* TestClock.adjust("1 minute")
      server.script.connect = ScriptedServer.silence
      server.kill("reset")
      assert.strictEqual((yield* backend.state)._tag, "Connecting")
      for (const name of numbers(200)) crowd.call(name)
      assert.strictEqual(crowd.count("under way"), 108)
      assert.strictEqual(crowd.count("CallRejected: overloaded"), 92)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(crowd.count("SessionUnavailable: reset"), 108)
      crowd.call("later")
      assert.strictEqual(crowd.endOf("later"), "under way")
    })
  )

  it.effect("lets those that waited for a session run in their order, eight at a time", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { crowd } = yield* kept(server, { ...policy, stableAfter: 0 })
      yield* TestClock.adjust("1 minute")
      server.script.latency = "1 second"
      server.kill("reset")
      for (const name of numbers(108)) crowd.call(name)
      yield* pass("16 seconds", "1 second")
      assert.strictEqual(crowd.count("ok"), 108)
      assert.deepStrictEqual(crowd.began, numbers(108))
      assert.strictEqual(crowd.mostRunning, 8)
    })
  )

  it.effect("counts what a call waits for its turn as no part of waitForSession, and as part of its duration", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { crowd, events } = yield* kept(server, {
        ...policy,
        maxConcurrent: 1,
        waitForSession: "5 seconds",
        staleAfter: "Infinity"
      })
      server.script.latency = "20 seconds"
      for (const name of ["first", "second", "third"]) crowd.call(name)
      yield* pass("60 seconds", "1 second")
      assert.strictEqual(crowd.count("ok"), 3)
      const durations = events.flatMap((event) =>
        event._tag === "CallSettled" ? [Duration.toSeconds(event.duration)] : []
      )
      assert.deepStrictEqual(durations, [20, 40, 60])
    })
  )

  const bad: ReadonlyArray<
    readonly [string, string, (server: ScriptedServer.ScriptedServer, backend: Scripted) => Effect.Effect<unknown>]
  > = [
    ["an operator isolates it", "CallRejected: closed", (_, backend) => backend.isolate],
    [
      "its circuit opens",
      "CallRejected: process_exit",
      (server) =>
        Effect.sync(() => {
          server.script.connect = ScriptedServer.unreachable("refused")
          server.kill("process_exit")
        })
    ],
    [
      "it needs credentials",
      "CallRejected: auth",
      (server, backend) =>
        Effect.suspend(() => {
          server.script.probe = ScriptedServer.refuse(401)
          return Effect.andThen(TestClock.adjust("1 second"), Effect.exit(backend.probe))
        })
    ]
  ]
  for (const [what, end, happens] of bad) {
    it.effect(`when ${what}, fails at once also those that wait for their turn, with what that state says`, () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const { backend, crowd, queued } = yield* kept(server, { ...policy, circuit: { failures: 1 } })
        server.script.call = () => ScriptedServer.silence
        for (const name of numbers(108)) crowd.call(name)
        assert.strictEqual(queued(), 100)
        yield* happens(server, backend)
        assert.strictEqual(queued(), 0)
        assert.strictEqual(crowd.count(end), 100)
        assert.deepStrictEqual(crowd.began, numbers(8))
      })
    )
  }

  it.effect("when its scope ends, leaves nobody waiting", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const crowd = yield* Effect.scoped(
        Effect.map(kept(server, policy), ({ crowd }) => {
          server.script.call = () => ScriptedServer.silence
          for (const name of numbers(108)) crowd.call(name)
          return crowd
        })
      )
      assert.strictEqual(crowd.count("OutcomeUnknown: closed"), 8)
      assert.strictEqual(crowd.count("CallRejected: closed"), 100)
    })
  )

  it.effect("gives the place of an interrupted call to the next, whether it ran or waited", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { crowd, queued } = yield* kept(server, { maxConcurrent: 2, queue: 3 })
      server.script.latency = "1 second"
      for (const name of ["a", "b", "c", "d", "e"]) crowd.call(name)
      crowd.call("one too many")
      assert.strictEqual(crowd.endOf("one too many"), "CallRejected: overloaded")
      for (const name of ["b", "d"]) {
        const fiber = crowd.fibers.get(name)
        if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      }
      yield* turn
      assert.deepStrictEqual([...crowd.running], ["a", "c"])
      assert.strictEqual(queued(), 1)
      for (const name of ["f", "g", "h"]) crowd.call(name)
      assert.deepStrictEqual(
        ["f", "g", "h"].map((name) => crowd.endOf(name)),
        ["under way", "under way", "CallRejected: overloaded"]
      )
      yield* pass("5 seconds", "1 second")
      assert.deepStrictEqual(crowd.began, ["a", "b", "c", "e", "f", "g"])
    })
  )

  it.effect("limits the calls of a pinned session as well, and ends those that wait when it is replaced", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, crowd, queued } = yield* kept(server, { maxConcurrent: 1, queue: 2, drainTimeout: "5 seconds" })
      server.script.latency = "1 second"
      const pinned = (names: ReadonlyArray<string>) =>
        backend.pinned((session) =>
          Effect.as(
            Effect.forEach(names, (name) => Effect.sync(() => crowd.run(name, session.use(crowd.callback(name)))), {
              discard: true
            }).pipe(Effect.andThen(Effect.never)),
            "never"
          )
        )
      const body = yield* Effect.forkChild(pinned(["a", "b", "c", "d"]), { startImmediately: true })
      assert.deepStrictEqual([...crowd.running], ["a"])
      assert.strictEqual(queued(), 2)
      assert.strictEqual(crowd.endOf("d"), "CallRejected: overloaded")
      yield* pass("2 seconds", "1 second")
      assert.deepStrictEqual([crowd.endOf("a"), crowd.endOf("b")], ["ok", "ok"])
      crowd.call("another")
      server.kill("reset")
      assert.strictEqual(queued(), 0)
      yield* pass("10 seconds", "1 second")
      assert.strictEqual(crowd.endOf("another"), "ok")
      yield* Fiber.interrupt(body)
    })
  )

  it.effect("ends the waiting of a pinned call whose session is gone", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, crowd, queued } = yield* kept(server, { maxConcurrent: 1, queue: 2 })
      server.script.call = () => ScriptedServer.silence
      crowd.call("long")
      crowd.run(
        "bound",
        backend.pinned((session) => session.use(crowd.callback("bound")))
      )
      assert.strictEqual(queued(), 1)
      server.kill("reset")
      assert.deepStrictEqual([crowd.endOf("long"), crowd.endOf("bound")], ["OutcomeUnknown: reset", "SessionReplaced"])
      assert.strictEqual(queued(), 0)
    })
  )

  it.effect(
    "keeps every promise, whatever happens: order, bounds, one end for each call, and no place lost",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.integer({ min: 1, max: 4 }),
            fc.nat(6),
            fc.array(
              fc.tuple(
                fc.constantFrom("call", "call", "call", "pass", "pass", "interrupt", "kill", "forget", "reconnect"),
                fc.nat(50)
              ),
              {
                minLength: 10,
                maxLength: 80,
                size: "max"
              }
            ),
            (maxConcurrent, queue, steps) =>
              Effect.runPromise(
                Effect.scoped(
                  Effect.gen(function* () {
                    const server = ScriptedServer.make()
                    const { backend, crowd, queued } = yield* kept(server, { maxConcurrent, queue, circuit: "none" })
                    let number = 0
                    for (const [what, choice] of steps) {
                      server.script.latency = Duration.millis(10 * choice)
                      const underWay = [...crowd.fibers].filter(([name]) => !crowd.ended.has(name))
                      switch (what) {
                        case "call":
                          crowd.call(`${number++}`)
                          break
                        case "pass":
                          yield* pass(10 * (choice + 1), "10 millis")
                          break
                        case "interrupt":
                          for (const [, fiber] of underWay.slice(choice % 5, (choice % 5) + 1))
                            yield* Fiber.interrupt(fiber)
                          break
                        case "kill":
                          server.kill("reset")
                          break
                        case "forget":
                          server.forgetSessions()
                          break
                        case "reconnect":
                          yield* Effect.forkChild(backend.reconnect, { startImmediately: true })
                          break
                      }
                      yield* turn
                      assert.isAtMost(crowd.running.size, maxConcurrent)
                      const still = [...crowd.fibers.keys()].filter((name) => !crowd.ended.has(name))
                      assert.isAtMost(still.length, maxConcurrent + queue)
                      assert.isAtLeast(queued(), 0)
                    }
                    // the first time each began: those that are run again come in between
                    const first = [...new Set(crowd.began)].map(Number)
                    assert.deepStrictEqual(
                      first,
                      first.toSorted((a, b) => a - b)
                    )
                    server.script.latency = "10 millis"
                    yield* pass("3 minutes", "1 second")
                    assert.strictEqual(queued(), 0)
                    assert.strictEqual(crowd.ended.size, number)
                    // no place was lost
                    server.script.call = () => ScriptedServer.silence
                    yield* backend.awaitConnected
                    for (const name of numbers(maxConcurrent + queue + 1)) crowd.call(`end ${name}`)
                    assert.strictEqual(crowd.running.size, maxConcurrent)
                    assert.strictEqual(queued(), queue)
                    assert.strictEqual(crowd.endOf(`end ${maxConcurrent + queue}`), "CallRejected: overloaded")
                  })
                ).pipe(Effect.provide(TestClock.layer()))
              )
          ),
          { numRuns: 60 }
        )
      ),
    60_000
  )

  it.effect("can be limited and freed while it lives", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, crowd, queued } = yield* kept(server, { maxConcurrent: 2, queue: 10 })
      server.script.call = () => ScriptedServer.silence
      for (const name of numbers(8)) crowd.call(name)
      assert.deepStrictEqual([crowd.running.size, queued()], [2, 6])
      yield* backend.reconfigure({ policy: { maxConcurrent: 5, queue: 10 } })
      assert.deepStrictEqual([crowd.running.size, queued()], [5, 3])
      yield* backend.reconfigure({ policy: { maxConcurrent: "none" } })
      assert.deepStrictEqual([crowd.running.size, queued()], [8, 0])
      yield* backend.reconfigure({ policy: { maxConcurrent: 9, queue: 0 } })
      for (const name of ["x", "y"]) crowd.call(name)
      assert.deepStrictEqual([crowd.endOf("x"), crowd.endOf("y")], ["under way", "CallRejected: overloaded"])
    })
  )
})

describe("a limit that backends share", () => {
  it.effect("leaves room for who comes, also where one backend hangs with all it got", () =>
    Effect.gen(function* () {
      const limit = yield* CallLimit.make({ maxConcurrent: 8, queue: 100 })
      const hole = ScriptedServer.make()
      const well = ScriptedServer.make()
      const [dark, quick] = yield* Effect.all([kept(hole, {}, "dark"), kept(well, {}, "quick")]).pipe(
        Effect.provideService(CallLimit.Current, limit)
      )
      hole.script.call = () => ScriptedServer.silence
      for (const name of numbers(200)) dark.crowd.call(name)
      assert.strictEqual(limit.running, 4)
      assert.strictEqual(limit.waiting, 50)
      assert.strictEqual(dark.crowd.count("CallRejected: overloaded"), 146)
      well.script.latency = "10 millis"
      for (const name of numbers(100)) {
        quick.crowd.call(name)
        yield* TestClock.adjust("10 millis")
        assert.strictEqual(quick.crowd.endOf(name), "ok")
      }
      yield* dark.backend.isolate
      assert.deepStrictEqual([limit.running, limit.waiting], [0, 0])
    })
  )

  it.effect("stands beside that of a backend", () =>
    Effect.gen(function* () {
      const limit = yield* CallLimit.make({ maxConcurrent: 100 })
      const server = ScriptedServer.make()
      const { crowd, queued } = yield* Effect.provideService(
        kept(server, { maxConcurrent: 3, queue: 5 }),
        CallLimit.Current,
        limit
      )
      server.script.call = () => ScriptedServer.silence
      for (const name of numbers(10)) crowd.call(name)
      assert.deepStrictEqual([crowd.running.size, queued()], [3, 5])
      assert.strictEqual(crowd.count("CallRejected: overloaded"), 2)
    })
  )

  it.effect("is made of whole numbers, and of nothing else", () =>
    Effect.gen(function* () {
      for (const wrong of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const error = yield* Effect.flip(CallLimit.make({ maxConcurrent: wrong, queue: -1 }))
        assert.deepStrictEqual(
          error.issues.map(({ path }) => path.join(".")),
          ["callLimit.maxConcurrent", "callLimit.queue"]
        )
        // it is of no backend alone
        assert.match(error.message, /^The configuration is wrong:\n {2}callLimit\.maxConcurrent: /)
      }
    })
  )
})

describe("calls that are run again", () => {
  /** A backend that loses its session every second, just before or while 20 calls are under way that may be sent twice. */
  const flapping = Effect.fnUntraced(function* (
    policy: KeepalivePolicy.Options,
    lose: { readonly [When in "before" | "meanwhile"]?: (server: ScriptedServer.ScriptedServer) => void }
  ) {
    const server = ScriptedServer.make()
    const backoff = { initial: "100 millis", cap: "100 millis" } as const
    const told = yield* kept(server, { circuit: "none", backoff, ...policy })
    server.script.latency = "200 millis"
    let calls = 0
    for (let second = 0; second < 60; second++) {
      yield* pass("900 millis", "50 millis")
      lose.before?.(server)
      for (let each = 0; each < 20; each++) told.crowd.call(`${calls++}`, { idempotent: true })
      yield* TestClock.adjust("50 millis")
      lose.meanwhile?.(server)
      yield* TestClock.adjust("50 millis")
    }
    yield* pass("1 minute", "1 second")
    return { ...told, calls, replays: told.crowd.began.length - calls }
  })

  for (const [how, lose] of [
    ["is killed", { meanwhile: (server: ScriptedServer.ScriptedServer) => server.kill("reset") }],
    ["forgets its sessions", { before: (server: ScriptedServer.ScriptedServer) => server.forgetSessions() }]
  ] as const) {
    it.effect(
      `of a backend that ${how} every second are no more than their budget, and the others are told the truth`,
      () =>
        Effect.gen(function* () {
          const free = yield* flapping({ replayBudget: "none" }, lose)
          const bound = yield* flapping({}, lose)
          const { calls, count, crowd, replays } = bound
          const denied = count("ReplayDenied")
          console.log(
            `a backend that ${how} every second, ${calls} calls in a minute: ${free.replays} run again without a budget, ` +
              `${replays} with one (${((100 * replays) / calls).toFixed(1)} %), ${denied} denied`
          )
          assert.isAbove(free.replays, 0.9 * calls)
          assert.strictEqual(free.count("ReplayDenied"), 0)
          assert.isAtMost(replays, 0.2 * calls)
          assert.isAbove(replays, 0.1 * calls)
          assert.isAbove(denied, 0)
          assert.strictEqual(crowd.ended.size, calls)
          const truths = ["ok", "OutcomeUnknown: reset", "CallFailed: session_lost"]
          for (const name of crowd.fibers.keys()) assert.include(truths, crowd.endOf(name))
        })
    )
  }

  it.effect("are one always, however few calls there are", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { count, crowd } = yield* kept(server)
      server.script.latency = "1 second"
      for (const name of ["a", "b"]) crowd.call(name, { idempotent: true })
      yield* TestClock.adjust("500 millis")
      server.kill("reset")
      yield* pass("5 seconds", "500 millis")
      assert.deepStrictEqual([crowd.endOf("a"), crowd.endOf("b")], ["ok", "OutcomeUnknown: reset"])
      assert.strictEqual(count("ReplayDenied"), 1)
    })
  )

  it.effect(
    "cost no budget where a stable session has ended: 50 that a restart refuses are all sent on the next one",
    () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const backend = yield* make(server, { stableAfter: "10 seconds" })
        yield* backend.awaitConnected
        yield* TestClock.adjust("1 minute")
        server.forgetSessions()
        const crowd = Array.from({ length: 50 }, () => backend.use((client) => client.callTool("echo")))
        const calls = yield* Effect.forkScoped(Effect.all(crowd, { concurrency: "unbounded" }), {
          startImmediately: true
        })
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(calls)).length, 50)
        assert.strictEqual(server.executed.length, 50)
        // the session that took its place is young: what ends it now may be flapping
        server.forgetSessions()
        const again = yield* Effect.forkScoped(
          Effect.forEach(crowd, (call) => Effect.result(call), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* TestClock.adjust("5 seconds")
        const answered = (yield* Fiber.join(again)).filter(Result.isSuccess).length
        assert.isAtLeast(answered, 1)
        assert.isAtMost(answered, 20)
      })
  )

  it.effect("cost no budget where nothing of them can have reached the server", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { count, crowd } = yield* kept(server)
      server.script.call = () => ScriptedServer.unreachable("refused")
      for (const name of numbers(20)) crowd.call(name)
      server.script.call = () => ScriptedServer.answer
      yield* pass("10 seconds", "1 second")
      assert.strictEqual(crowd.count("ok"), 20)
      assert.strictEqual(crowd.began.length, 40)
      assert.strictEqual(count("ReplayDenied"), 0)
    })
  )
})

describe("a session with maxLifetime", () => {
  const policy = { maxLifetime: "10 minutes", drainTimeout: "1 minute" } as const

  it.effect("is replaced beside its calls, which end well, and no call fails", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, count, crowd, events } = yield* kept(server, policy)
      server.script.latency = "4 seconds"
      let calls = 0
      for (let at = 0; at < 25 * 60; at += 2) {
        crowd.call(`${calls++}`)
        yield* TestClock.adjust("2 seconds")
      }
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(crowd.count("ok"), calls)
      const state = yield* backend.state
      assert.strictEqual(state._tag === "Connected" && state.generation, 3)
      assert.strictEqual(count("SessionExpired"), 2)
      const closed = events.filter((event) => event._tag === "SessionClosed")
      assert.deepStrictEqual(
        closed.map((event) => event._tag === "SessionClosed" && event.reason),
        ["closed", "closed"]
      )
      assert.isFalse(events.some((event) => event._tag === "StateChanged" && event.to._tag === "Connecting"))
    })
  )

  it.effect("ends at a time of its own, a tenth earlier or later, so that those of many do not end together", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      for (let index = 0; index < 200; index++) yield* kept(server, policy, `backend ${index}`)
      const seen = new Map<number, number>()
      for (let second = 0; second <= 11 * 60; second += 10) {
        const before = server.counts.attempts
        yield* TestClock.adjust("10 seconds")
        const replaced = server.counts.attempts - before
        if (replaced > 0) seen.set(second + 10, replaced)
      }
      const times = [...seen.keys()]
      assert.isAtLeast(Math.min(...times), 9 * 60)
      assert.isAtMost(Math.max(...times), 11 * 60)
      assert.strictEqual(
        [...seen.values()].reduce((all, each) => all + each, 0),
        200
      )
      // of 12 parts of equal length none has a third
      assert.isBelow(Math.max(...seen.values()), 60)
    })
  )

  it.effect("serves on while no other can be opened, which is tried by backoff until it succeeds", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend, crowd } = yield* kept(server, {
        ...policy,
        backoff: { initial: "10 seconds", factor: 2, cap: "1 minute" }
      })
      server.script.connect = ScriptedServer.unreachable("refused")
      for (let minute = 0; minute < 30; minute++) {
        crowd.call(`${minute}`)
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual(crowd.count("ok"), 30)
      const state = yield* backend.state
      assert.strictEqual(state._tag === "Connected" && state.generation, 1)
      const { attempts } = server.counts
      // about one a minute once the backoff has grown
      assert.isAtLeast(attempts, 18)
      assert.isAtMost(attempts, 36)
      server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("2 minutes")
      const after = yield* backend.state
      assert.strictEqual(after._tag === "Connected" && after.generation, 2)
    })
  )
})
