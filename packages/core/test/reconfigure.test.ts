/** A backend is changed while it lives: what that leaves alone, what it replaces, and what it never loses. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, type KeepaliveEvent, KeepalivePolicy } from "../src/index.ts"
import { untimed } from "../src/ConnectionState.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const echo = (client: ScriptedServer.ScriptedClient) => client.callTool("echo")

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector: server.connector, policy })

const connected = (server: ScriptedServer.ScriptedServer, policy?: KeepalivePolicy.Options) =>
  Effect.tap(make(server, policy), (backend) => backend.awaitConnected)

const stateOf = (backend: Backend.Backend<unknown>) => Effect.map(backend.state, untimed)

/** Collects from now on. */
const collecting = (backend: Backend.Backend<unknown>) =>
  Effect.gen(function* () {
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    yield* Effect.forkScoped(
      Stream.runForEach(backend.events, (event) => Effect.sync(() => events.push(event))),
      { startImmediately: true }
    )
    return events
  })

describe("another policy", () => {
  it.effect("is put in place: the session and its calls live on, and the next probe comes at its pace", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* connected(server, { interval: "24 hours" })
      server.script.latency = "1 minute"
      const call = yield* Effect.forkScoped(backend.use(echo), { startImmediately: true })
      yield* backend.reconfigure({ policy: { interval: "10 seconds", timeout: "2 seconds" } })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      server.script.latency = 0
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 1 })
      const { probes } = server.counts
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(server.counts.probes - probes, 5)
      assert.strictEqual((yield* backend.policy).failureThreshold, 3)
      assert.strictEqual(server.counts.attempts, 1)
    })
  )

  it.effect("stands in place of the backend's own, over that of the context in which it was made", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Effect.provide(
        make(server, { failureThreshold: 7 }),
        KeepalivePolicy.layer({ fallbackAfter: 4, stableAfter: "1 minute" })
      )
      yield* backend.reconfigure({ policy: { fallbackAfter: 5 } })
      const { failureThreshold, fallbackAfter, stableAfter } = yield* backend.policy
      assert.deepStrictEqual([failureThreshold, fallbackAfter, `${stableAfter}`], [3, 5, "60000 millis"])
    })
  )

  it.effect("brings the next attempt forward, and never puts it off", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.unreachable()
      const backend = yield* make(server, { circuit: { failures: 1, openFor: "30 minutes" } })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* backend.state)._tag, "CircuitOpen")
      server.script.connect = ScriptedServer.answer
      yield* backend.reconfigure({ policy: { circuit: { failures: 1, openFor: "10 seconds" } } })
      // ten times as often as the delay is long
      yield* Effect.repeat(
        Effect.andThen(
          TestClock.adjust("1 second"),
          Effect.suspend(() =>
            backend.reconfigure({ policy: { circuit: { failures: 1, openFor: "10 seconds" }, spans: true } })
          )
        ),
        { times: 12 }
      )
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 1 })
    })
  )

  it.effect(
    "is asked for a sooner attempt only as long as that is of use: nothing of its schedule outlives the backend",
    () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script.connect = ScriptedServer.unreachable()
        let deciding = 0
        const backoff = Schedule.spaced("10 seconds").pipe(
          Schedule.modifyDelay(() =>
            Effect.acquireUseRelease(
              Effect.sync(() => deciding++),
              () => Effect.never,
              () => Effect.sync(() => deciding--)
            )
          )
        )
        const scope = yield* Scope.make()
        const backend = yield* Scope.provide(make(server, { circuit: "none" }), scope)
        for (const failureThreshold of [4, 5, 6]) {
          yield* backend.reconfigure({ policy: { backoff, circuit: "none", failureThreshold } })
          assert.strictEqual(deciding, 1)
        }
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(deciding, 0)
      })
  )

  it.effect("does not bring forward what a server asked to wait for", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = { _tag: "Refuse", status: 429, retryAfter: "4 minutes" }
      const backend = yield* make(server)
      yield* TestClock.adjust("1 second")
      yield* backend.reconfigure({ policy: { backoff: { initial: "1 second", cap: "2 seconds" } } })
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(server.counts.attempts, 1)
    })
  )

  it.effect("that is eager wakes a backend that was lazy; one that sleeps when idle puts it to sleep", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { connect: "lazy" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.attempts, 0)
      yield* backend.reconfigure({ policy: { connect: "eager" } })
      yield* backend.awaitConnected
      yield* backend.reconfigure({ policy: { idleAfter: "1 minute" } })
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Idle" })
      assert.strictEqual(server.counts.attempts, 1)
    })
  )

  it.effect(
    "that sleeps when idle does so no sooner than its time after the last call, also where that was not noted before",
    () =>
      Effect.gen(function* () {
        const backend = yield* connected(ScriptedServer.make())
        yield* TestClock.adjust("1 hour")
        yield* backend.use(echo)
        yield* TestClock.adjust("1 second")
        yield* backend.reconfigure({ policy: { idleAfter: "5 minutes" } })
        yield* TestClock.adjust("4 minutes")
        assert.strictEqual((yield* backend.state)._tag, "Connected")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* backend.state)._tag, "Idle")
      })
  )

  it.effect("without probes ends them; with probes begins them", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* connected(server, { interval: "10 seconds" })
      yield* backend.reconfigure({ policy: { interval: "10 seconds", probe: "none" } })
      const { probes } = server.counts
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(server.counts.probes, probes)
      yield* backend.reconfigure({ policy: { interval: "10 seconds", probe: "list-tools" } })
      const events = yield* collecting(backend)
      yield* TestClock.adjust("1 minute")
      const methods = events.flatMap((event) => (event._tag === "ProbeSent" ? [event.method] : []))
      assert.isAtLeast(methods.length, 5)
      assert.deepStrictEqual([...new Set(methods)], ["list-tools"])
    })
  )

  it.effect("that is wrong is told with all its mistakes, and nothing has changed", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* connected(server, { interval: "20 seconds" })
      const events = yield* collecting(backend)
      const error = yield* Effect.flip(backend.reconfigure({ policy: { interval: 0, failureThreshold: 0 } }))
      assert.deepStrictEqual(
        error.issues.map(({ path }) => path.join(".")),
        ["policy.interval", "policy.failureThreshold"]
      )
      assert.strictEqual(`${(yield* backend.policy).interval}`, "20000 millis")
      assert.deepStrictEqual(events, [])
    })
  )
})

describe("another connector", () => {
  it.effect("opens its session first and lets calls on the old one end: none fails", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      const backend = yield* connected(old)
      old.script.latency = "10 seconds"
      next.script.latency = "1 second"
      const before = yield* Effect.forkScoped(backend.use(echo), { startImmediately: true })
      yield* backend.reconfigure({ connector: next.connector })
      const during = yield* Effect.forkScoped(backend.use(echo), { startImmediately: true })
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 1 })
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 2 })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual([yield* Fiber.join(before), yield* Fiber.join(during)], ["echo", "echo"])
      yield* backend.use(echo).pipe(Effect.forkScoped, Effect.andThen(TestClock.adjust("2 seconds")))
      assert.deepStrictEqual([old.executed.length, next.executed.length], [2, 1])
      assert.strictEqual(old.counts.open, 0)
    })
  )

  it.effect("that cannot be reached leaves the old session serving, and is tried again with backoff until it can", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      next.script.connect = ScriptedServer.unreachable()
      const backend = yield* connected(old)
      yield* backend.reconfigure({ connector: next.connector })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 1 })
      assert.strictEqual(yield* backend.use(echo), "echo")
      // 1, 2, 4, 8, … seconds, jittered
      assert.isAtLeast(next.counts.attempts, 4)
      assert.isAtMost(next.counts.attempts, 8)
      next.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 2 })
      assert.strictEqual(old.counts.open, 0)
    })
  )

  it.effect("closes an exclusive session before it opens its own", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make({ exclusive: true }), ScriptedServer.make({ exclusive: true })]
      const backend = yield* connected(old)
      let openOfOld = -1
      const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
        ...next.connector,
        open: (host) =>
          Effect.suspend(() => {
            openOfOld = old.counts.open
            return next.connector.open(host)
          })
      }
      yield* backend.reconfigure({ connector })
      yield* backend.awaitConnected
      assert.strictEqual(openOfOld, 0)
      assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 2 })
    })
  )

  it.effect(
    "is tried at once by a backend whose circuit is open, which needs credentials, or whose attempt hangs",
    () =>
      Effect.gen(function* () {
        for (const connect of [
          ScriptedServer.unreachable(),
          { _tag: "Refuse", status: 401 } as const,
          ScriptedServer.silence
        ]) {
          const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
          old.script.connect = connect
          const backend = yield* make(old, { circuit: { failures: 1, openFor: "1 hour" } })
          yield* TestClock.adjust("1 second")
          yield* backend.reconfigure({ connector: next.connector })
          yield* backend.awaitConnected
          assert.deepStrictEqual(yield* stateOf(backend), { _tag: "Connected", generation: 1 })
          assert.strictEqual(next.counts.attempts, 1)
        }
      })
  )

  it.effect("leaves an isolated backend isolated, until it is reset", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      const backend = yield* connected(old)
      yield* backend.isolate
      yield* backend.reconfigure({ connector: next.connector })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* backend.state)._tag, "Isolated")
      yield* backend.reset
      yield* backend.awaitConnected
      assert.strictEqual(next.counts.open, 1)
    })
  )

  it.effect("gets what it needs from where it is given", () =>
    Effect.gen(function* () {
      class Needed extends Context.Service<Needed, ScriptedServer.ScriptedServer>()("test/Needed") {}
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      const backend = yield* connected(old)
      const connector: Connector.Connector<ScriptedServer.ScriptedClient, Needed> = {
        ...next.connector,
        open: (host) => Effect.flatMap(Needed, ({ connector }) => connector.open(host))
      }
      yield* Effect.provideService(backend.reconfigure({ connector }), Needed, next)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(next.counts.open, 1)
    })
  )

  it.effect("is not held to what its predecessor's server did, also where there was no session to replace", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      old.script.connect = ScriptedServer.unreachable()
      const backend = yield* make(old, {
        connect: "lazy",
        idleAfter: "5 seconds",
        stableAfter: "1 minute",
        circuit: { failures: 1, openFor: "10 seconds" }
      })
      yield* Effect.flip(backend.use(echo))
      old.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("10 seconds")
      // the trial passed, and the session was let go of before it was stable
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Idle")
      next.script.connect = ScriptedServer.silence
      yield* backend.reconfigure({ connector: next.connector })
      const call = yield* Effect.forkScoped(Effect.exit(backend.use(echo)), { startImmediately: true })
      assert.deepStrictEqual(yield* stateOf(backend), {
        _tag: "Connecting",
        attempt: 1,
        trial: false,
        reason: undefined
      })
      assert.isUndefined(call.pollUnsafe())
    })
  )

  it.effect("in place of an exclusive session is no trial of that one's circuit, so that calls wait for it", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      old.script.connect = ScriptedServer.unreachable()
      const exclusive = (server: ScriptedServer.ScriptedServer) => ({ ...server.connector, exclusive: true })
      const policy = { stableAfter: "1 minute", circuit: { failures: 1, openFor: "10 seconds" } } as const
      const backend = yield* Backend.make({ id: "scripted", connector: exclusive(old), policy })
      old.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
      next.script.latency = "1 second"
      yield* backend.reconfigure({ connector: exclusive(next) })
      const call = yield* Effect.forkScoped(backend.use(echo), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "echo")
    })
  )

  it.effect("that takes its time to say what is wrong with it takes back no policy that came meanwhile", () =>
    Effect.gen(function* () {
      const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
      const backend = yield* connected(old, { failureThreshold: 7 })
      const asked = yield* Deferred.make<void>()
      const slow = { ...next.connector, issues: Effect.as(Deferred.await(asked), []) }
      const other = yield* Effect.forkScoped(backend.reconfigure({ connector: slow }), { startImmediately: true })
      yield* backend.reconfigure({ policy: { failureThreshold: 5 } })
      yield* Deferred.succeed(asked, undefined)
      yield* Fiber.join(other)
      assert.strictEqual((yield* backend.policy).failureThreshold, 5)
      assert.deepStrictEqual((yield* backend.source).policy.failureThreshold, 5)
    })
  )
})

it.effect("what changed is told once, and what did not is not told", () =>
  Effect.gen(function* () {
    const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
    const backend = yield* connected(old)
    const events = yield* collecting(backend)
    yield* backend.reconfigure({})
    yield* backend.reconfigure({ connector: old.connector, policy: {} })
    yield* backend.reconfigure({ policy: { interval: "1 minute" } })
    yield* backend.reconfigure({ policy: { interval: "60 seconds" } })
    yield* backend.reconfigure({ connector: next.connector, policy: { interval: "1 minute", required: true } })
    yield* TestClock.adjust("1 second")
    const told = events.flatMap((event) => (event._tag === "Reconfigured" ? [event] : []))
    assert.deepStrictEqual(
      told.map(({ connection, policy, required }) => ({ connection, policy, required })),
      [
        { connection: false, policy: true, required: false },
        { connection: true, policy: true, required: true }
      ]
    )
  })
)

it.effect("a backend whose scope has ended takes changes without doing anything", () =>
  Effect.gen(function* () {
    const [old, next] = [ScriptedServer.make(), ScriptedServer.make()]
    const made = yield* Deferred.make<Backend.Backend<ScriptedServer.ScriptedClient>>()
    yield* Effect.scoped(Effect.flatMap(connected(old), (backend) => Deferred.succeed(made, backend)))
    const backend = yield* Deferred.await(made)
    yield* backend.reconfigure({ connector: next.connector, policy: { interval: "1 minute" } })
    yield* TestClock.adjust("1 hour")
    assert.strictEqual((yield* backend.state)._tag, "Closed")
    assert.strictEqual(next.counts.attempts, 0)
  })
)

describe("the source of a backend", () => {
  it.effect("makes another one like it, in any context, as it is after it was changed", () =>
    Effect.gen(function* () {
      class Address extends Context.Service<Address, string>()("test/Address") {}
      const [server, next] = [ScriptedServer.make(), ScriptedServer.make()]
      const seen: Array<string> = []
      const needing = ({
        connector
      }: ScriptedServer.ScriptedServer): Connector.Connector<ScriptedServer.ScriptedClient, Address> => ({
        ...connector,
        open: (host) =>
          Effect.andThen(
            Effect.map(Address, (address) => seen.push(address)),
            connector.open(host)
          )
      })
      const backend = yield* Backend.make({
        id: "scripted",
        connector: needing(server),
        policy: { failureThreshold: 7 }
      }).pipe(Effect.provide(KeepalivePolicy.layer({ fallbackAfter: 4 })), Effect.provideService(Address, "here"))
      const another = Effect.gen(function* () {
        const other = yield* Backend.make({ id: "another", ...(yield* backend.source) })
        yield* other.awaitConnected
        const { failureThreshold, fallbackAfter } = yield* other.policy
        return [failureThreshold, fallbackAfter]
      })
      assert.deepStrictEqual(yield* another, [7, 4])
      assert.deepStrictEqual([server.counts.attempts, seen], [2, ["here", "here"]])
      yield* Effect.provideService(
        backend.reconfigure({ connector: needing(next), policy: { failureThreshold: 5 } }),
        Address,
        "there"
      )
      assert.deepStrictEqual(yield* another, [5, 4])
      assert.strictEqual(seen.at(-1), "there")
    })
  )
})
