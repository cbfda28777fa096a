/** What the model test found: one small test a promise. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, type KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector: server.connector, policy: { interval: "30 seconds", ...policy } })

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

describe("a callback that does several things at once", () => {
  const apart = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => {
    const lane = async (tools: ReadonlyArray<string>) => {
      for (const tool of tools) await client.callTool(tool, { signal })
    }
    return Promise.all([lane(["a1", "a2", "a3"]), lane(["b1", "b2", "b3"])])
  }

  it.effect("does not go on beside its next run: nothing is executed twice", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.latency = "1 second"
      const refused = new Set(["b1"])
      server.script.call = (tool) => (refused.delete(tool) ? ScriptedServer.refuse(401) : ScriptedServer.answer)
      const call = yield* Effect.forkChild(Effect.exit(backend.use(apart)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.join(call)
      assert.deepStrictEqual([...new Set(server.executed)].toSorted(), server.executed.toSorted())
      // a1 was under way when b1 was refused: whether it was executed cannot be known
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"), String(exit))
    })
  )

  it.effect("is over before its next run begins", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const order: Array<string> = []
      let runs = 0
      const replies = [ScriptedServer.unreachable()]
      server.script.call = () => replies.shift() ?? ScriptedServer.answer
      yield* backend.use((client, signal) => {
        const run = ++runs
        order.push(`run ${run}`)
        signal.addEventListener("abort", () => order.push(`run ${run} is told`))
        return client.callTool("echo", { signal })
      })
      assert.deepStrictEqual(order, ["run 1", "run 1 is told", "run 2"])
    })
  )

  it.effect("begins nothing more once it has failed, although it was given no signal", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.latency = "1 second"
      server.script.call = (tool) => (tool === "refused" ? ScriptedServer.error(-32602) : ScriptedServer.answer)
      const call = yield* Effect.forkChild(
        Effect.exit(
          backend.use((client) =>
            Promise.all([client.callTool("refused"), client.callTool("first").then(() => client.callTool("second"))])
          )
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(call)
      assert.deepStrictEqual(server.executed, ["first"])
    })
  )

  for (const isFirst of [true, false]) {
    it.effect(
      `is told that its tool may have been executed, cut beside what is under way, begun ${isFirst ? "before" : "after"} it`,
      () =>
        Effect.gen(function* () {
          const server = ScriptedServer.make()
          const backend = yield* make(server)
          yield* backend.awaitConnected
          server.script.call = () => ScriptedServer.cut
          const error = yield* Effect.flip(
            backend.use((client): Promise<unknown> => {
              const pay = () => client.callTool("pay")
              const list = () => {
                server.script.latency = "1 hour"
                const listed = client.listTools()
                server.script.latency = 0
                return listed
              }
              return Promise.all(isFirst ? [list(), pay()] : [pay(), list()])
            })
          )
          assert(error._tag === "OutcomeUnknown")
          assert.strictEqual(error.reason, "stream_cut")
          assert.deepStrictEqual(server.executed, ["pay"])
        })
    )
  }

  it.effect("that fails before anything was sent gets its own error", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const error = yield* Effect.flip(backend.use(() => Promise.reject(new Error("mine"))))
      assert.strictEqual(error._tag, "CallFailed")
    })
  )
})

describe("credentials that calls were rejected with", () => {
  const others = Effect.as(Effect.sleep("1 second"), true)
  const counting = (server: ScriptedServer.ScriptedServer, refresh: Effect.Effect<boolean> = others) => {
    const counts = { refreshed: 0 }
    const connector = {
      ...server.connector,
      open: (host: Connector.SessionHost) =>
        Effect.map(server.connector.open(host), (session) => ({
          ...session,
          refresh: Effect.andThen(
            Effect.sync(() => void counts.refreshed++),
            refresh
          )
        }))
    }
    return { connector, counts }
  }

  it.effect("are read once for all of them", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { connector, counts } = counting(server)
      const backend = yield* Backend.make({ id: "scripted", connector })
      yield* backend.awaitConnected
      server.script.latency = "100 millis"
      const refused = new Set<string>()
      server.script.call = (tool) => {
        if (refused.has(tool)) return ScriptedServer.answer
        refused.add(tool)
        return ScriptedServer.refuse(401)
      }
      const calls = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 50 }, (_, index) => `tool${index}`),
          (tool, index) =>
            Effect.delay(
              backend.use((client) => client.callTool(tool)),
              index * 50
            ),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(calls)).length, 50)
      // those that were sent with the old ones, and those that were refused after the new ones had been read
      assert.isAtMost(counts.refreshed, 3)
    })
  )

  it.effect("whose reading throws end neither the call as a defect nor the keeping alive", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { connector } = counting(server, Effect.die(new Error("a defect of the app")))
      const backend = yield* Backend.make({ id: "scripted", connector, policy: { interval: "30 seconds" } })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(401)
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.reason, "auth")
      server.script.probe = ScriptedServer.refuse(401)
      assert.deepStrictEqual(untimed(yield* backend.probe), { _tag: "NeedsAuth" })
      server.script.probe = ScriptedServer.answer
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
    })
  )

  it.effect("are read again for a pinned call too, which is told as one that was run again", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const settled: Array<readonly [outcome: string, replayed: boolean]> = []
      const { connector, counts } = counting(server, Effect.succeed(true))
      const backend = yield* Backend.make({ id: "scripted", connector }).pipe(
        Effect.provide(
          KeepaliveEvent.layerObserver((event) => {
            if (event._tag === "CallSettled") settled.push([event.outcome, event.replayed])
          })
        )
      )
      yield* backend.awaitConnected
      yield* TestClock.adjust("1 second")
      const replies = [ScriptedServer.refuse(401)]
      server.script.call = () => replies.shift() ?? ScriptedServer.answer
      assert.strictEqual(yield* backend.pinned((session) => session.use(echo)), "echo")
      assert.strictEqual(counts.refreshed, 1)
      assert.deepStrictEqual(settled, [["ok", true]])
    })
  )

  it.effect("whose reading hangs once are read anew for the calls that come later", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const readings = [Effect.never]
      const { connector, counts } = counting(
        server,
        Effect.suspend((): Effect.Effect<boolean> => readings.shift() ?? Effect.succeed(true))
      )
      const backend = yield* Backend.make({
        id: "scripted",
        connector,
        policy: { interval: "1 hour", timeout: "1 second" }
      })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(401)
      const hung = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(hung)
      const replies = [ScriptedServer.refuse(401)]
      server.script.call = () => replies.shift() ?? ScriptedServer.answer
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      assert.strictEqual(counts.refreshed, 2)
    })
  )
})

describe("an attempt", () => {
  it.effect("in which something is interrupted fails, and there will be another", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      let attempts = 0
      const connector = {
        ...server.connector,
        open: (host: Connector.SessionHost) => (attempts++ === 0 ? Effect.interrupt : server.connector.open(host))
      }
      const backend = yield* Backend.make({ id: "scripted", connector })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  it.effect("whose session an observer shuts out as it opens leaves none behind", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      let isolate: Effect.Effect<void> = Effect.void
      const backend = yield* make(server, { connect: "lazy" }).pipe(
        Effect.provide(
          KeepaliveEvent.layerObserver(({ _tag }) => {
            if (_tag === "AttemptSucceeded") Effect.runSync(isolate)
          })
        )
      )
      isolate = backend.isolate
      yield* Effect.flip(backend.use(echo))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* backend.state)._tag, "Isolated")
      assert.strictEqual(server.counts.open, 0)
    })
  )

  it.effect("of an exclusive connector begins when the one before it has really ended", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ exclusive: true })
      let open = 0
      let most = 0
      const connector = {
        ...server.connector,
        open: (host: Connector.SessionHost) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              most = Math.max(most, ++open)
            }),
            () => Effect.andThen(Effect.sleep("1 second"), server.connector.open(host)),
            // a child that takes its time to end
            () =>
              Effect.andThen(
                Effect.sleep("5 seconds"),
                Effect.sync(() => open--)
              )
          )
      }
      const backend = yield* Backend.make({ id: "scripted", connector })
      for (let count = 0; count < 3; count++) {
        yield* backend.isolate
        yield* backend.reset
      }
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      assert.strictEqual(most, 1)
    })
  )

  it.effect.each([
    ["fails", () => Effect.fail(new Error("no such log level"))],
    [
      "throws",
      () => {
        throw new Error("no such log level")
      }
    ]
  ] as ReadonlyArray<readonly [string, () => Effect.Effect<never, Error>]>)(
    "that setup %s tells the caller what it said, and no event",
    ([, setup]) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const events: Array<KeepaliveEvent.KeepaliveEvent> = []
        const backend = yield* Backend.make({
          id: "scripted",
          connector: server.connector,
          policy: { circuit: { failures: 1 } },
          setup
        }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
        yield* TestClock.adjust("1 second")
        const error = yield* Effect.flip(backend.use(echo))
        assert(error._tag === "CallRejected")
        assert.strictEqual(error.reason, "setup")
        assert.include(error.detail?.output.join(), "no such log level")
        assert.notInclude(`${error.message} ${JSON.stringify(events)}`, "no such log level")
      })
  )
})

describe("a single-session server", () => {
  it.effect("whose session drains for want of credentials accepts another as soon as there are new ones", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const events: Array<KeepaliveEvent.KeepaliveEvent> = []
      const backend = yield* make(server).pipe(
        Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event)))
      )
      yield* backend.awaitConnected
      server.script.singleSession = true
      server.script.call = () => ScriptedServer.silence
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      server.script.probe = ScriptedServer.refuse(401)
      assert.deepStrictEqual(untimed(yield* backend.probe), { _tag: "NeedsAuth" })
      server.script.probe = ScriptedServer.answer
      yield* backend.reset
      yield* backend.awaitConnected
      assert.strictEqual(server.counts.open, 1)
      // it went for the credentials, whatever made it go at last
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "auth")
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "SessionClosed" ? [event.reason] : [])),
        ["auth"]
      )
    })
  )
})

describe("a session that drains and dies", () => {
  it.effect("ends its calls at once, with the reason of its death", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.silence
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* backend.reconnect
      server.kill("process_exit")
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "process_exit")
    })
  )
})

describe("a stateless backend", () => {
  it.effect("of which one call fails lets the others end by themselves", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ stateful: false })
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.awaitConnected
      server.script.latency = "5 seconds"
      const slow = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.latency = 0
      server.script.call = () => ScriptedServer.refuse(500)
      yield* Effect.flip(backend.use(echo))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(slow), "echo")
    })
  )
})

describe("what tells of a backend", () => {
  for (const told of ["changes", "events"] as const) {
    it.effect(`${told} end when it has closed, also for those who come later`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const backend = yield* Scope.provide(make(ScriptedServer.make()), scope)
        yield* backend.awaitConnected
        const stream: Stream.Stream<unknown> = backend[told]
        const reader = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        const read = yield* Fiber.join(reader)
        assert.isAbove(read.length, 0)
        assert.strictEqual((yield* Stream.runCollect(stream)).length, told === "changes" ? 1 : 0)
      })
    )
  }
})

describe("a backend that sleeps when nobody calls", () => {
  it.effect("serves the call that woke it, though connecting takes longer than idleAfter", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { connect: "lazy", idleAfter: "5 seconds" })
      const waiting = yield* Effect.forkChild(backend.awaitConnected, { startImmediately: true })
      server.script.latency = "8 seconds"
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      yield* Fiber.join(waiting)
    })
  )

  it.effect("stays awake, and rests, while a call is in flight for longer than idleAfter", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { idleAfter: "1 minute" })
      yield* backend.awaitConnected
      server.script.latency = "10 minutes"
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.latency = 0
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Idle")
    })
  )

  it.effect("does not fall asleep, and rests, while its session is being replaced", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { idleAfter: "1 minute" })
      yield* backend.awaitConnected
      yield* TestClock.adjust("55 seconds")
      server.script.latency = "8 seconds"
      const reconnected = yield* Effect.forkChild(backend.reconnect, { startImmediately: true })
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(untimed(yield* Fiber.join(reconnected)), { _tag: "Connected", generation: 2 })
    })
  )
})

describe("a call", () => {
  it.effect("that ends every session on which it runs is not run for ever, idempotent or not", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ stateful: false })
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.cut
      const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      assert.isAtMost(server.executed.length, 3)
    })
  )

  it.effect("that may have been executed is never reported as refused", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const replies = [ScriptedServer.cut, ScriptedServer.refuse(400)]
      server.script.call = () => replies.shift() ?? ScriptedServer.answer
      const error = yield* Effect.flip(backend.use(echo, { idempotent: true }))
      assert.deepStrictEqual(server.executed, ["echo"])
      assert.strictEqual(error._tag, "OutcomeUnknown")
    })
  )

  it.effect("refused on a session that drains is run on its successor at once", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.latency = "1 second"
      server.script.call = () => ScriptedServer.refuse(404)
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.call = () => ScriptedServer.answer
      server.script.latency = 0
      assert.deepStrictEqual(untimed(yield* backend.reconnect), { _tag: "Connected", generation: 2 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(call), "echo")
    })
  )

  for (const command of ["isolate", "close"] as const) {
    it.effect(`on a session that drains ends as OutcomeUnknown with ${command}, and the session is closed`, () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const scope = yield* Scope.make()
        const backend = yield* Scope.provide(make(server), scope)
        yield* backend.awaitConnected
        server.script.call = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
        yield* backend.reconnect
        assert.strictEqual(server.counts.open, 2)
        yield* command === "isolate" ? backend.isolate : Scope.close(scope, Exit.void)
        yield* Effect.yieldNow
        assert.strictEqual(server.counts.open, 0)
        assert.strictEqual((yield* Fiber.join(call))._tag, "OutcomeUnknown")
        yield* Scope.close(scope, Exit.void)
      })
    )
  }
})

describe("a call in flight when a probe learns that the server has forgotten the session", () => {
  const forgotten = Effect.fnUntraced(function* (reply: ScriptedServer.Reply, latency: `${number} seconds`) {
    const server = ScriptedServer.make()
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const backend = yield* make(server, { stableAfter: 0 }).pipe(
      Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event)))
    )
    yield* backend.use(echo)
    server.script.latency = latency
    server.script.call = () => reply
    const call = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
    server.script.latency = 0
    server.script.call = () => ScriptedServer.answer
    server.forgetSessions()
    assert.deepStrictEqual(untimed(yield* backend.probe), { _tag: "Connected", generation: 2 })
    return { backend, call, events, server }
  })
  const closings = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
    events.flatMap((event) => (event._tag === "SessionClosed" ? [event.reason] : []))

  it.effect("gets its own refusal, and is run once on the new session", () =>
    Effect.gen(function* () {
      const { call, events, server } = yield* forgotten(ScriptedServer.refuse(404), "2 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("echo"))
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
      assert.deepStrictEqual(closings(events), ["session_lost"])
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect("gets its answer, where the server goes on with it", () =>
    Effect.gen(function* () {
      const { call, server } = yield* forgotten(ScriptedServer.answer, "2 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("echo"))
      assert.deepStrictEqual(server.executed, ["echo", "echo"])
    })
  )

  it.effect("ends as OutcomeUnknown as soon as its answer is cut", () =>
    Effect.gen(function* () {
      const { call } = yield* forgotten(ScriptedServer.cut, "1 seconds")
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(call)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"))
    })
  )

  it.effect("ends as OutcomeUnknown when nothing has come within timeout", () =>
    Effect.gen(function* () {
      const { call, events, server } = yield* forgotten(ScriptedServer.silence, "0 seconds")
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(closings(events), [])
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(call)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"))
      assert.deepStrictEqual(closings(events), ["session_lost"])
      assert.strictEqual(server.counts.open, 1)
    })
  )

  it.effect("tells why the session drains, before it is closed", () =>
    Effect.gen(function* () {
      const { events } = yield* forgotten(ScriptedServer.refuse(404), "2 seconds")
      yield* TestClock.adjust("2 seconds")
      const told = events.flatMap((event) =>
        event._tag === "SessionDraining" || event._tag === "SessionClosed" ? [`${event._tag}: ${event.reason}`] : []
      )
      assert.deepStrictEqual(told, ["SessionDraining: session_lost", "SessionClosed: session_lost"])
    })
  )

  it.effect("does not let a pinned body begin another call on it", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      const error = yield* Effect.flip(
        backend.pinned((session) =>
          Effect.gen(function* () {
            server.forgetSessions()
            yield* Effect.orDie(backend.probe)
            return yield* session.use(echo)
          })
        )
      )
      assert.strictEqual(error._tag, "SessionReplaced")
      assert.deepStrictEqual(server.executed, [])
    })
  )
})

describe("a call in flight when a probe learns that the credentials do no longer", () => {
  const rejected = Effect.fnUntraced(function* (reply: ScriptedServer.Reply, latency = 20) {
    const server = ScriptedServer.make()
    const backend = yield* make(server)
    yield* backend.awaitConnected
    server.script.latency = `${latency} seconds`
    server.script.call = () => reply
    const call = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
    server.script.latency = 0
    server.script.probe = ScriptedServer.refuse(401)
    assert.deepStrictEqual(untimed(yield* backend.probe), { _tag: "NeedsAuth" })
    yield* TestClock.adjust("20 seconds")
    return { exit: yield* Fiber.join(call), server }
  })

  it.effect("gets the answer of a server that has begun it", () =>
    Effect.gen(function* () {
      const { exit, server } = yield* rejected(ScriptedServer.answer)
      assert.deepStrictEqual(exit, Exit.succeed("echo"))
      assert.strictEqual(server.counts.open, 0)
    })
  )

  it.effect("gets its own refusal, and is not reported as one that may have been executed", () =>
    Effect.gen(function* () {
      const { exit, server } = yield* rejected(ScriptedServer.refuse(401), 9)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("CallFailed"), String(exit))
      assert.deepStrictEqual(server.executed, [])
    })
  )

  it.effect("is reported as one that may have been executed where its refusal comes later than timeout", () =>
    Effect.gen(function* () {
      const { exit } = yield* rejected(ScriptedServer.refuse(401), 11)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("OutcomeUnknown"), String(exit))
    })
  )
})

describe("credentials that cannot be read again", () => {
  const hanging = (server: ScriptedServer.ScriptedServer) => ({
    ...server.connector,
    open: (host: Connector.SessionHost) =>
      Effect.map(server.connector.open(host), (session) => ({ ...session, refresh: Effect.never }))
  })

  it.effect("do not hold up a probe for longer than its timeout", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({ id: "scripted", connector: hanging(server) })
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.refuse(401)
      const probe = yield* Effect.forkChild(backend.probe, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(untimed(yield* Fiber.join(probe)), { _tag: "NeedsAuth" })
    })
  )

  it.effect("do not hold up a call for longer than waitForSession", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({ id: "scripted", connector: hanging(server) })
      yield* backend.awaitConnected
      server.script.call = () => ScriptedServer.refuse(401)
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(call))._tag, "CallFailed")
      assert.deepStrictEqual(server.executed, [])
    })
  )
})
