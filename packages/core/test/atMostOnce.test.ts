/** At most once: what a request has come to, what may be run again, and what a server counted. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type BackendError, type Connector, Evidence, type KeepalivePolicy } from "../src/index.ts"
import * as AtMostOnce from "../src/internal/atMostOnce.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

type Fate = Connector.RequestRecord["fate"]

const timeout = Duration.seconds(10)
const never = undefined

describe("whether a request may be made again", () => {
  interface Row {
    readonly fate: Fate
    readonly evidence: string
    readonly seen: Evidence.Evidence | undefined
    readonly refusedAfter: number | undefined
    readonly counts: Fate
    /** of one that is not replayable, and of one that is */
    readonly again: readonly [once: boolean, replayable: boolean]
  }
  const status = (status: number) => Evidence.refused({ status, withSession: true })
  const every4xx = Array.from({ length: 100 }, (_, index) => 400 + index)
  const every5xx = Array.from({ length: 100 }, (_, index) => 500 + index)
  const everyRedirect = Array.from({ length: 100 }, (_, index) => 300 + index)
  const reasons = [
    "refused",
    "reset",
    "dns",
    "tls",
    "stream_cut",
    "overflow",
    "timeout",
    "protocol",
    "unknown"
  ] as const

  const rows: ReadonlyArray<Row> = [
    ...every4xx.flatMap((code): ReadonlyArray<Row> => {
      const refusal = { fate: "refused", evidence: `${code}`, seen: status(code) } as const
      return [
        { ...refusal, refusedAfter: 0, counts: "refused", again: [true, true] },
        { ...refusal, refusedAfter: 10_000, counts: "refused", again: [true, true] },
        // who worked that long may have acted
        { ...refusal, refusedAfter: 10_000.001, counts: "dispatched", again: [false, true] },
        { ...refusal, refusedAfter: 60_000, counts: "dispatched", again: [false, true] },
        // what is not known to have come in time did not
        { ...refusal, refusedAfter: never, counts: "dispatched", again: [false, true] }
      ]
    }),
    ...everyRedirect.flatMap((code): ReadonlyArray<Row> => {
      const redirect = { evidence: `${code}`, seen: status(code) } as const
      return [
        { ...redirect, fate: "refused", refusedAfter: 5, counts: "refused", again: [false, false] },
        { ...redirect, fate: "dispatched", refusedAfter: never, counts: "dispatched", again: [false, false] }
      ]
    }),
    ...every5xx.map((code): Row => ({
      fate: "dispatched",
      evidence: `${code}`,
      seen: status(code),
      refusedAfter: never,
      counts: "dispatched",
      again: [false, true]
    })),
    ...reasons.flatMap((reason): ReadonlyArray<Row> => {
      const failure = { evidence: reason, seen: Evidence.transportFailure(reason), refusedAfter: never }
      return [
        { ...failure, fate: "unsent", counts: "unsent", again: [true, true] },
        { ...failure, fate: "dispatched", counts: "dispatched", again: [false, true] }
      ]
    }),
    ...[Evidence.answered, Evidence.errorAnswer(-32603), Evidence.errorAnswer(-32601)].map((seen): Row => ({
      fate: "answered",
      evidence: Evidence.summaryOf(seen) ?? "a result",
      seen,
      refusedAfter: never,
      counts: "answered",
      again: [false, true]
    })),
    {
      fate: "unsent",
      evidence: "nothing",
      seen: undefined,
      refusedAfter: never,
      counts: "unsent",
      again: [true, true]
    },
    {
      fate: "dispatched",
      evidence: "nothing",
      seen: undefined,
      refusedAfter: never,
      counts: "dispatched",
      again: [false, true]
    }
  ]

  it(`is decided by its fate, by what was seen and by when it was refused (${rows.length} rows)`, () => {
    for (const { again, counts, evidence, fate, refusedAfter, seen } of rows) {
      const request = { fate, evidence: seen, refusedAfter, settled: true }
      const text = `${fate}, ${evidence}, refused after ${refusedAfter}`
      for (const ended of [false, true]) {
        const facts = { request, timeout, ended }
        assert.strictEqual(AtMostOnce.fateOf(facts), counts, text)
        assert.strictEqual(AtMostOnce.mayRunAgain({ ...facts, replayable: false }), again[0], text)
        assert.strictEqual(AtMostOnce.mayRunAgain({ ...facts, replayable: true }), again[1], `${text}, replayable`)
      }
    }
  })

  it("what is unsent and not settled may still be sent, unless its session has ended", () => {
    const request = { fate: "unsent", evidence: undefined, refusedAfter: undefined, settled: false } as const
    const facts = { request, timeout, replayable: false }
    assert.strictEqual(AtMostOnce.mayRunAgain({ ...facts, ended: false }), false)
    assert.strictEqual(AtMostOnce.mayRunAgain({ ...facts, ended: true }), true)
  })
})

// -------------------------------------------------------------------------------------------------------- behaviour

interface Kept {
  readonly backend: Backend.Backend<ScriptedServer.ScriptedClient>
  readonly server: ScriptedServer.ScriptedServer
  /** tool calls that reached the server, executed or not */
  readonly sent: () => number
  /** how often credentials were read again */
  readonly read: () => number
}

/** A backend whose server replies to calls as told, one after the other, and with an answer once that is done. */
const keep = Effect.fnUntraced(function* (
  replies: ReadonlyArray<ScriptedServer.Reply>,
  policy: KeepalivePolicy.Options = {},
  refresh: () => boolean = () => false
): Effect.fn.Return<Kept, BackendError.BackendError, Scope.Scope> {
  const server = ScriptedServer.make()
  let sent = 0
  let read = 0
  server.script.call = () => replies[sent++] ?? ScriptedServer.answer
  const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
    ...server.connector,
    open: (host) =>
      Effect.map(server.connector.open(host), (session) => ({
        ...session,
        refresh: Effect.sync(() => {
          read++
          return refresh()
        })
      }))
  }
  const backend = yield* Backend.make({ id: "scripted", connector, policy: { interval: "30 seconds", ...policy } })
  yield* backend.awaitConnected
  return { backend, server, sent: () => sent, read: () => read }
})

const pay = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("pay", { signal })
const list = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.listTools({ signal })

describe("a call that was refused late", () => {
  const late = Effect.fnUntraced(function* (status: number, latency: Duration.Input, options?: Backend.UseOptions) {
    const kept = yield* keep([ScriptedServer.refuse(status)], { stableAfter: 0 }, () => true)
    kept.server.script.latency = latency
    const call = yield* Effect.forkChild(Effect.exit(kept.backend.use(pay, options)), { startImmediately: true })
    kept.server.script.latency = 0
    yield* TestClock.adjust(latency)
    yield* TestClock.adjust("1 second")
    return { ...kept, exit: yield* Fiber.join(call) }
  })
  const errorOf = <A, E>(exit: Exit.Exit<A, E>) =>
    Exit.isSuccess(exit)
      ? undefined
      : exit.cause.reasons.flatMap((each) => (each._tag === "Fail" ? [each.error] : []))[0]

  for (const status of [400, 401, 403, 404, 409, 422, 429]) {
    it.effect(`with ${status}, later than timeout, has an outcome that is unknown, and is not run again`, () =>
      Effect.gen(function* () {
        const { exit, sent } = yield* late(status, "10001 millis")
        const error = errorOf(exit)
        assert(error?._tag === "OutcomeUnknown", String(exit))
        assert.strictEqual(error.detail?.summary, `HTTP ${status}`)
        assert.strictEqual(sent(), 1)
      })
    )
  }

  it.effect("is run again where it is replayable", () =>
    Effect.gen(function* () {
      const { exit, sent } = yield* late(401, "11 seconds", { idempotent: true })
      assert.deepStrictEqual(exit, Exit.succeed("pay"))
      assert.strictEqual(sent(), 2)
    })
  )

  it.effect("but within timeout is run again", () =>
    Effect.gen(function* () {
      const { exit, sent } = yield* late(401, "10 seconds")
      assert.deepStrictEqual(exit, Exit.succeed("pay"))
      assert.strictEqual(sent(), 2)
    })
  )
})

describe("a call that is refused for its session", () => {
  for (const status of [404, 400]) {
    it.effect(`with ${status} is sent again once, on the next session, and not thrice`, () =>
      Effect.gen(function* () {
        const refusal = ScriptedServer.refuse(status)
        const kept = yield* keep([refusal, refusal, refusal, refusal], { stableAfter: 0 })
        // the server forgets every session as soon as it was called
        const { call } = kept.server.script
        kept.server.script.call = (tool) => {
          kept.server.forgetSessions()
          return call(tool)
        }
        yield* kept.backend.use(list)
        const error = yield* Effect.flip(kept.backend.use(pay))
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "session_lost")
        assert.strictEqual(error.code, status)
        assert.strictEqual(kept.sent(), 2)
        assert.deepStrictEqual(kept.server.executed, [])
      })
    )

    it.effect(`with ${status} by a server that knows it, says a probe, has failed by itself: http_4xx`, () =>
      Effect.gen(function* () {
        const kept = yield* keep([ScriptedServer.refuse(status)])
        const error = yield* Effect.flip(kept.backend.use(pay))
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "http_4xx")
        assert.strictEqual(error.code, status)
        assert.strictEqual(kept.sent(), 1)
        assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      })
    )

    it.effect(`with ${status}, after another request of it was executed, is http_4xx as well`, () =>
      Effect.gen(function* () {
        const kept = yield* keep([ScriptedServer.answer, ScriptedServer.refuse(status)])
        const error = yield* Effect.flip(
          kept.backend.use((client) => client.callTool("first").then(() => client.callTool("second")))
        )
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "http_4xx")
        assert.deepStrictEqual(kept.server.executed, ["first"])
      })
    )

    it.effect(`with ${status}, pinned, is http_4xx as well`, () =>
      Effect.gen(function* () {
        const kept = yield* keep([ScriptedServer.refuse(status)])
        const error = yield* Effect.flip(kept.backend.pinned((session) => session.use(pay)))
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "http_4xx")
        assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      })
    )
  }
})

describe("a call that is refused for its credentials", () => {
  for (const status of [401, 403]) {
    it.effect(`with ${status} is not sent again with the same ones, and its failure is its own`, () =>
      Effect.gen(function* () {
        const kept = yield* keep([ScriptedServer.refuse(status)])
        const error = yield* Effect.flip(kept.backend.use(pay))
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "auth")
        assert.strictEqual(error.code, status)
        assert.strictEqual(kept.read(), 1)
        assert.strictEqual(kept.sent(), 1)
        // a probe has decided that it was that one tool
        assert.isAtLeast(kept.server.counts.probes, 2)
        assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      })
    )

    it.effect(`with ${status} is sent again with others, once`, () =>
      Effect.gen(function* () {
        const refusal = ScriptedServer.refuse(status)
        const once = yield* keep([refusal], {}, () => true)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* once.backend.use(pay), "pay")
        assert.strictEqual(once.sent(), 2)
        const kept = yield* keep([refusal, refusal, refusal], {}, () => true)
        yield* TestClock.adjust("1 second")
        const error = yield* Effect.flip(kept.backend.use(pay))
        assert(error._tag === "CallFailed")
        assert.strictEqual(error.reason, "auth")
        assert.strictEqual(kept.sent(), 2)
      })
    )
  }

  it.effect("that another call has had read, and that have changed since it began, is sent again without reading", () =>
    Effect.gen(function* () {
      const readings = [true]
      const refusal = ScriptedServer.refuse(401)
      const kept = yield* keep([refusal, refusal], {}, () => readings.shift() ?? false)
      yield* TestClock.adjust("1 second")
      kept.server.script.latency = "2 seconds"
      const slow = yield* Effect.forkChild(kept.backend.use(pay), { startImmediately: true })
      kept.server.script.latency = "1 second"
      const quick = yield* Effect.forkChild(kept.backend.use(pay), { startImmediately: true })
      yield* Effect.repeat(TestClock.adjust("500 millis"), { times: 9 })
      assert.strictEqual(yield* Fiber.join(quick), "pay")
      assert.strictEqual(yield* Fiber.join(slow), "pay")
      assert.strictEqual(kept.read(), 1)
      assert.strictEqual(kept.sent(), 4)
    })
  )

  it.effect("pinned, is not sent again with the same ones", () =>
    Effect.gen(function* () {
      const kept = yield* keep([ScriptedServer.refuse(401)])
      const error = yield* Effect.flip(kept.backend.pinned((session) => session.use(pay)))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.reason, "auth")
      assert.strictEqual(kept.sent(), 1)
    })
  )
})

describe("a redirect that was not followed", () => {
  for (const status of [301, 302, 303]) {
    it.effect(`${status} may say that the call was processed: its outcome is unknown, and it is never run again`, () =>
      Effect.gen(function* () {
        for (const options of [{}, { idempotent: true }]) {
          const kept = yield* keep([ScriptedServer.refuse(status)])
          const error = yield* Effect.flip(kept.backend.use(pay, options))
          assert(error._tag === "OutcomeUnknown")
          assert.strictEqual(error.reason, "protocol")
          assert.strictEqual(error.detail?.summary, `HTTP ${status}`)
          assert.strictEqual(kept.sent(), 1)
          assert.strictEqual(kept.server.counts.probes, 1)
          assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
        }
      })
    )
  }

  for (const status of [307, 308]) {
    it.effect(`${status} promises that nothing was done: the call has failed, and is never run again`, () =>
      Effect.gen(function* () {
        for (const options of [{}, { idempotent: true }]) {
          const kept = yield* keep([ScriptedServer.refuse(status)])
          const error = yield* Effect.flip(kept.backend.use(pay, options))
          assert(error._tag === "CallFailed")
          assert.strictEqual(error.reason, "protocol")
          assert.strictEqual(error.code, status)
          assert.strictEqual(kept.sent(), 1)
          assert.strictEqual(kept.server.counts.probes, 1)
          assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
        }
      })
    )
  }
})

describe("a call whose answer exceeds a bound", () => {
  it.effect("has an outcome that is unknown, and its session is doubted", () =>
    Effect.gen(function* () {
      const kept = yield* keep([ScriptedServer.overflow])
      const error = yield* Effect.flip(kept.backend.use(pay))
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "overflow")
      assert.deepStrictEqual(kept.server.executed, ["pay"])
      yield* TestClock.adjust("1 second")
      assert.isAtLeast(kept.server.counts.probes, 2)
    })
  )
})
