/** The limits that all backends share: what can be set, and that waiting for them costs a backend nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, type KeepalivePolicy, Starts } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

describe("the limits", () => {
  it.effect("are 64 attempts, 8 of an origin, and 64 probes, for 250 ms, unless others are given", () =>
    Effect.gen(function* () {
      const defaults = { attempts: 64, perOrigin: 8, probes: 64, hold: Duration.millis(250) }
      assert.deepStrictEqual((yield* Starts.Current).limits, defaults)
      assert.deepStrictEqual((yield* Starts.make()).limits, defaults)
      const given = { attempts: 4, perOrigin: undefined, hold: "1 second" } as const
      const others = { attempts: 4, perOrigin: 8, probes: 64, hold: Duration.seconds(1) }
      assert.deepStrictEqual((yield* Starts.make(given)).limits, others)
      const laid = yield* Effect.provide(Effect.service(Starts.Current), Starts.layer(given))
      assert.deepStrictEqual(laid.limits, others)
    })
  )

  it.effect("that are wrong fail with every mistake at once, by its path", () =>
    Effect.gen(function* () {
      const count = "a whole number of at least 1"
      const hold = "a duration of 1 millisecond to 1 minute"
      const wrong: Record<string, unknown> = { attempts: 0, perOrigin: 1.5, probes: "64", hold: "2 minutes", most: 1 }
      const error = yield* Effect.flip(Starts.make(wrong))
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.deepStrictEqual(error.issues, [
        { path: ["starts", "most"], expected: "no such setting; known are attempts, perOrigin, probes, hold" },
        { path: ["starts", "attempts"], expected: count },
        { path: ["starts", "perOrigin"], expected: count },
        { path: ["starts", "probes"], expected: count },
        { path: ["starts", "hold"], expected: hold }
      ])
      assert.match(error.message, /^The configuration is wrong:\n {2}starts\.most: /)
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1, null, {}, "x"]) {
        const options: Record<string, unknown> = { attempts: bad, hold: bad }
        const { issues } = yield* Effect.flip(Starts.make(options))
        assert.deepStrictEqual(
          issues.map(({ path }) => path.join(".")),
          ["starts.attempts", "starts.hold"]
        )
      }
      const laid = yield* Effect.flip(Effect.provide(Effect.service(Starts.Current), Starts.layer({ probes: 0 })))
      assert.deepStrictEqual(laid.issues, [{ path: ["starts", "probes"], expected: count }])
    })
  )
})

/** A backend of a server that a test has its hands on, and what it told. */
const backendOf = (
  policy: KeepalivePolicy.Options = {},
  origin?: Connector.Origin,
  script: Partial<ScriptedServer.Script> = {}
) =>
  Effect.gen(function* () {
    const server = ScriptedServer.make()
    Object.assign(server.script, script)
    const events: Array<KeepaliveEvent.KeepaliveEvent> = []
    const connector = { ...server.connector, origin }
    const backend = yield* Backend.make({ id: "scripted", connector, policy }).pipe(
      Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event)))
    )
    return { backend, server, events }
  })

const silent = { connect: ScriptedServer.silence }

describe("an attempt that waits for others", () => {
  const one = Starts.layer({ attempts: 1, hold: "1 minute" })

  it.effect("has all of its connectTimeout once it begins, and tells how long it took then", () =>
    Effect.gen(function* () {
      yield* backendOf({ connectTimeout: "10 seconds" }, undefined, silent)
      const { backend, events, server } = yield* backendOf({ connectTimeout: "10 seconds" }, undefined, {
        latency: "4 seconds"
      })
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(server.counts.attempts, 0)
      assert.deepInclude(yield* backend.state, { _tag: "Connecting", attempt: 1 })
      yield* TestClock.adjust("9 seconds")
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
      const succeeded = events.find((event) => event._tag === "AttemptSucceeded")
      assert.deepStrictEqual(succeeded?.duration, Duration.seconds(8))
      assert.isFalse(events.some(({ _tag }) => _tag === "AttemptFailed"))
    }).pipe(Effect.provide(one))
  )

  it.effect("as the trial of an open circuit: who is rejected meanwhile learns when it has ended at the latest", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* backendOf({ circuit: { failures: 1, openFor: "5 seconds" } }, undefined, {
        connect: ScriptedServer.unreachable()
      })
      yield* backendOf({ connectTimeout: "50 seconds" }, undefined, silent)
      yield* TestClock.adjust("45 seconds")
      assert.strictEqual(server.counts.attempts, 1)
      const error = yield* Effect.flip(backend.use((client) => client.callTool("echo")))
      assert(error._tag === "CallRejected")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(30))
    }).pipe(Effect.provide(one))
  )

  it.effect("waits no longer when its backend is isolated or ends, and holds back nobody", () =>
    Effect.gen(function* () {
      yield* backendOf({ connectTimeout: "10 seconds" }, undefined, silent)
      const scope = yield* Scope.make()
      const ended = yield* Scope.provide(backendOf(), scope)
      const isolated = yield* backendOf()
      const next = yield* backendOf()
      yield* Scope.close(scope, Exit.void)
      yield* isolated.backend.isolate
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* next.backend.state, { _tag: "Connected" })
      assert.strictEqual(ended.server.counts.attempts + isolated.server.counts.attempts, 0)
      yield* isolated.backend.reset
      yield* isolated.backend.awaitConnected
    }).pipe(Effect.provide(one))
  )

  it.effect("gives its permit back when its backend ends while it runs", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(backendOf({ connectTimeout: "1 hour" }, undefined, silent), scope)
      const next = yield* backendOf()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(next.server.counts.attempts, 0)
      yield* Scope.close(scope, Exit.void)
      yield* next.backend.awaitConnected
    }).pipe(Effect.provide(one))
  )

  it.effect("waits for `hold` at the longest, where one before it does not end", () =>
    Effect.gen(function* () {
      yield* backendOf({ connectTimeout: "2 hours" }, undefined, silent)
      const { server } = yield* backendOf()
      yield* TestClock.adjust(59_999)
      assert.strictEqual(server.counts.attempts, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(server.counts.attempts, 1)
    }).pipe(Effect.provide(one))
  )
})

describe("a probe that waits for others", () => {
  it.effect("has all of its timeout once it begins, and its latency is the server's own", () =>
    Effect.gen(function* () {
      const policy: KeepalivePolicy.Options = { interval: "1 hour", timeout: "10 seconds", failureThreshold: 1 }
      const first = yield* backendOf(policy)
      const { backend, events, server } = yield* backendOf(policy)
      yield* TestClock.adjust(0)
      const probes = server.counts.probes
      first.server.script.probe = ScriptedServer.silence
      server.script.latency = "9 seconds"
      yield* Effect.forkChild(first.backend.probe)
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(backend.probe)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(server.counts.probes, probes)
      assert.isFalse(events.some(({ _tag }) => _tag === "ProbeSent"))
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* backend.state, { _tag: "Connected", generation: 1 })
      const succeeded = events.find((event) => event._tag === "ProbeSucceeded")
      assert.deepStrictEqual(succeeded?.latency, Duration.seconds(9))
    }).pipe(Effect.provide(Starts.layer({ probes: 1, hold: "1 minute" })))
  )

  it.effect("does not wait for attempts", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* backendOf()
      yield* backendOf({}, undefined, silent)
      const { probes } = server.counts
      yield* backend.probe
      assert.strictEqual(server.counts.probes, probes + 1)
    }).pipe(Effect.provide(Starts.layer({ attempts: 1, hold: "1 minute" })))
  )
})

describe("backends", () => {
  const begun = (servers: ReadonlyArray<{ readonly server: ScriptedServer.ScriptedServer }>) =>
    servers.filter(({ server }) => server.counts.attempts > 0).length

  it.effect("share the limits of the process, unless a layer gives them others", () =>
    Effect.gen(function* () {
      const first = yield* Effect.forEach(Array(60), () => backendOf({}, undefined, silent))
      const second = yield* Effect.forEach(Array(60), () => backendOf({}, undefined, silent))
      assert.strictEqual(begun(first) + begun(second), 64)
      const apart = yield* Effect.provide(
        Effect.forEach(Array(60), () => backendOf({}, undefined, silent)),
        Starts.layer()
      )
      assert.strictEqual(begun(apart), 60)
    })
  )

  it.effect("of one origin have room for 8 at a time, or for as many as the origin says", () =>
    Effect.gen(function* () {
      const at = (origin: Connector.Origin) => Effect.forEach(Array(12), () => backendOf({}, origin, silent))
      const [eight, two, least] = [
        yield* at({ key: "a" }),
        yield* at({ key: "b", limit: 2 }),
        yield* at({ key: "c", limit: 0 })
      ]
      const all = () => [eight, two, least].map(begun)
      assert.deepStrictEqual(all(), [8, 2, 1])
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(all(), [12, 4, 2])
    })
  )
})
