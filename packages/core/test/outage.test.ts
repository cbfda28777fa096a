/**
 * What a thousand backends do at once: come back after an outage that they all met, and after a sleep of the machine. On the real
 * supervisor, in virtual time. Each case prints its figures.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, KeepalivePolicy, Starts } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

const backends = 1000

// ------------------------------------------------------------------------------------------------------- what is counted

/** What holds a permit, seen from the servers' side: checked against the limits whenever something begins. */
class Ledger {
  readonly #atOnce: number
  readonly #perOrigin: number
  readonly #hold: number
  readonly #begun: Array<{ readonly at: number; readonly origin: string | undefined; hasEnded: boolean }> = []
  #first = 0
  /** how often more held a permit than the limits allow */
  broken = 0

  constructor(atOnce: number, perOrigin: number, hold: Duration.Duration) {
    this.#atOnce = atOnce
    this.#perOrigin = perOrigin
    this.#hold = Duration.toMillis(hold)
  }

  /** when each began, from the nth on */
  since(nth: number): ReadonlyArray<number> {
    return this.#begun.slice(nth).map(({ at }) => at)
  }

  get length(): number {
    return this.#begun.length
  }

  noting<A, E, R>(origin: string | undefined, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.clockWith((clock) =>
        Effect.sync(() => this.#begin(Number(clock.monotonicTimeNanosUnsafe()) / 1e6, origin))
      ),
      () => effect,
      (begun) =>
        Effect.sync(() => {
          begun.hasEnded = true
        })
    )
  }

  #begin(at: number, origin: string | undefined) {
    const begun = { at, origin, hasEnded: false }
    this.#begun.push(begun)
    while ((this.#begun[this.#first]?.at ?? at) <= at - this.#hold) this.#first++
    const holding = this.#begun.slice(this.#first).filter(({ hasEnded }) => !hasEnded)
    const there = holding.filter((other) => other.origin === origin)
    if (holding.length > this.#atOnce || there.length > this.#perOrigin) this.broken++
    return begun
  }
}

/** The ledgers of all attempts and of all probes. */
const ledgers = Effect.map(Starts.Current, ({ limits: { attempts, hold, perOrigin, probes } }) => ({
  attempts: new Ledger(attempts, perOrigin, hold),
  probes: new Ledger(probes, probes, hold)
}))

/** The same connector, with its origin, whose attempts and probes are written down. */
const noted = <Client>(
  connector: Connector.Connector<Client>,
  origin: string,
  { attempts, probes }: Effect.Success<typeof ledgers>
): Connector.Connector<Client> => ({
  ...connector,
  origin: { key: origin },
  open: (host) =>
    Effect.map(attempts.noting(origin, connector.open(host)), (session) => {
      // the first belongs to the attempt, which it must pass
      let isAccepted = false
      const probe: typeof session.probe = (rung) => {
        if (isAccepted) return probes.noting(undefined, session.probe(rung))
        isAccepted = true
        return session.probe(rung)
      }
      return { ...session, probe }
    })
})

/** The most that fall into any 100 ms, in percent of so many. */
const worst = (times: ReadonlyArray<number>, of: number): number => {
  const sorted = times.toSorted((a, b) => a - b)
  let most = 0
  let from = 0
  for (const [nth, time] of sorted.entries()) {
    while ((sorted[from] ?? time) <= time - 100) from++
    most = Math.max(most, nth - from + 1)
  }
  return (100 * most) / of
}

const quantile = (times: ReadonlyArray<number>, part: number): number =>
  times.toSorted((a, b) => a - b)[Math.ceil(times.length * part) - 1] ?? Number.NaN

// -------------------------------------------------------------------------------------------------------------- outages

interface Outage {
  /** how many never answer again: each of their attempts lasts as long as it may */
  readonly dark: number
  readonly origins: number
  /** nothing listens meanwhile; zero: the servers are back before anybody asks */
  readonly lasting: Duration.Duration
}

/** All lose their sessions at once. When did they have the next, in milliseconds after the outage? */
const outage = ({ dark, lasting, origins }: Outage) =>
  Effect.gen(function* () {
    const before = process.cpuUsage()
    const books = yield* ledgers
    const servers = Array.from({ length: backends }, (_, nth) => {
      const { connector, kill, script } = ScriptedServer.make()
      script.latency = "50 millis"
      const isDark = Math.floor(((nth + 1) * dark) / backends) > Math.floor((nth * dark) / backends)
      return { connector: noted(connector, `origin ${nth % origins}`, books), kill, script, isDark }
    })
    const connected: Array<number> = []
    const observer = KeepaliveEvent.layerObserver((event) => {
      if (event._tag === "StateChanged" && event.to._tag === "Connected") connected.push(event.at)
    })
    yield* Effect.forEach(servers, ({ connector }, nth) =>
      Backend.make({ id: `server ${nth}`, connector, policy: KeepalivePolicy.interactive })
    ).pipe(Effect.provide(observer))
    // until they are stable
    yield* TestClock.adjust("2 minutes")
    assert.strictEqual(connected.length, backends)

    const isDown = Duration.toMillis(lasting) > 0
    for (const { isDark, script } of servers) {
      if (isDark) script.connect = ScriptedServer.silence
      else if (isDown) script.connect = ScriptedServer.unreachable()
    }
    for (const { kill } of servers) kill("reset")
    yield* TestClock.adjust(lasting)
    const over = yield* Clock.currentTimeMillis
    for (const { isDark, script } of servers) if (!isDark) script.connect = ScriptedServer.answer
    yield* TestClock.adjust("1 minute")

    const reconnects = connected.slice(backends).map((at) => at - over)
    const { system, user } = process.cpuUsage(before)
    const figures = {
      reconnects: reconnects.length,
      p50: quantile(reconnects, 0.5) / 1000,
      p99: quantile(reconnects, 0.99) / 1000,
      worst: worst(reconnects, backends - dark),
      broken: books.attempts.broken + books.probes.broken
    }
    const told = [
      `${dark} of ${backends} dark, ${origins} origins, down for ${Duration.format(lasting)}:`,
      `p50 ${figures.p50.toFixed(1)} s, p99 ${figures.p99.toFixed(1)} s,`,
      `worst 100 ms ${figures.worst.toFixed(1)} % of the reconnects, ${((system + user) / 1e6).toFixed(1)} s of CPU`
    ]
    yield* Effect.sync(() => console.log(told.join(" ")))
    return figures
  }).pipe(Random.withSeed("outage"))

describe("1,000 backends after an outage, with `interactive`", () => {
  const promised = (given: Omit<Outage, "lasting">) =>
    Effect.gen(function* () {
      const { broken, p99, reconnects, worst } = yield* outage({ ...given, lasting: Duration.seconds(5) })
      assert.strictEqual(reconnects, backends - given.dark)
      assert.strictEqual(broken, 0)
      assert.isAtMost(p99, 15)
      assert.isAtMost(worst, 10)
    })

  for (const dark of [0, 100, 500]) {
    for (const origins of [backends, 5]) {
      it.effect(
        `of which ${dark} stay dark, on ${origins} origins: limits hold at every instant, p99 is 15 s, and no 100 ms see 10 %`,
        () => promised({ dark, origins }),
        60_000
      )
    }
  }

  it.effect(
    "that opened every circuit: they are back within 15 s all the same, however long it lasted",
    () =>
      Effect.gen(function* () {
        for (const [dark, minutes] of [
          [0, 1],
          [500, 10]
        ] as const) {
          const lasting = Duration.minutes(minutes)
          const { broken, p99, reconnects, worst } = yield* Effect.scoped(outage({ dark, origins: backends, lasting }))
          assert.strictEqual(reconnects, backends - dark)
          assert.strictEqual(broken, 0)
          assert.isAtMost(p99, 15)
          assert.isAtMost(worst, 10)
        }
      }),
    60_000
  )

  it.effect(
    "that was over before they noticed: they come back as fast as the limits allow",
    () =>
      Effect.gen(function* () {
        for (const origins of [backends, 5]) {
          const given = { dark: 0, origins, lasting: Duration.zero }
          const { broken, p99, reconnects, worst } = yield* Effect.scoped(outage(given))
          assert.strictEqual(reconnects, backends)
          assert.strictEqual(broken, 0)
          assert.isAtMost(p99, 15)
          assert.isAtMost(worst, 10)
        }
      }),
    60_000
  )
})

// ---------------------------------------------------------------------------------------------------------------- sleep

const hour = 3_600_000

/** A clock that stands still while the machine sleeps, or whose monotonic time goes on as that of some systems does. */
const sleeping = (monotonic: "stops" | "goes on") =>
  TestClock.testClockWith((inner) => {
    let slept = 0
    const monotonicSlept = () => (monotonic === "goes on" ? BigInt(slept) * 1_000_000n : 0n)
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: () => inner.currentTimeMillisUnsafe() + slept,
      currentTimeMillis: Effect.sync(() => inner.currentTimeMillisUnsafe() + slept),
      currentTimeNanosUnsafe: () => inner.currentTimeNanosUnsafe() + BigInt(slept) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => inner.currentTimeNanosUnsafe() + BigInt(slept) * 1_000_000n),
      monotonicTimeNanosUnsafe: () => inner.monotonicTimeNanosUnsafe() + monotonicSlept(),
      monotonicTimeNanos: Effect.sync(() => inner.monotonicTimeNanosUnsafe() + monotonicSlept()),
      sleep: (duration) => inner.sleep(duration)
    }
    return Effect.succeed({
      clock,
      adjust: inner.adjust,
      sleep: () => {
        slept += hour
      }
    })
  })

/** What a backend is like as the machine falls asleep. */
const kinds = ["well", "being probed", "down", "circuit open", "credentials rejected"] as const

const cannot: { readonly [Kind in (typeof kinds)[number]]?: ScriptedServer.Reply } = {
  down: ScriptedServer.unreachable(),
  "circuit open": ScriptedServer.unreachable(),
  "credentials rejected": ScriptedServer.refuse(401)
}

/** A thousand of all kinds, and how often each was asked after the sleep: by a probe or an attempt. */
const slept = (monotonic: "stops" | "goes on") =>
  Effect.flatMap(sleeping(monotonic), ({ adjust, clock, sleep }) =>
    Effect.gen(function* () {
      const books = yield* ledgers
      const policy: KeepalivePolicy.Options = {
        // the most impatient there is: a single verdict would end a session
        failureThreshold: 1,
        cadence: Schedule.spaced("10 hours"),
        backoff: { initial: "10 hours", cap: "10 hours" },
        circuit: { failures: 5, openFor: "10 hours" }
      }
      const all = yield* Effect.forEach(Array.from({ length: backends }).keys(), (nth) =>
        Effect.gen(function* () {
          const kind = kinds[nth % kinds.length] ?? "well"
          const server = ScriptedServer.make()
          server.script.latency = "50 millis"
          server.script.connect = cannot[kind] ?? ScriptedServer.answer
          const backend = yield* Backend.make({
            id: `server ${nth}`,
            connector: noted(server.connector, `origin ${nth}`, books),
            policy: kind === "circuit open" ? { ...policy, circuit: { failures: 1, openFor: "10 hours" } } : policy
          })
          return { backend, kind, server }
        })
      )
      yield* adjust("1 minute")
      const states = () => Effect.forEach(all, ({ backend }) => backend.state)
      const began = yield* states()
      for (const { kind, server } of all) if (kind === "being probed") server.script.probe = ScriptedServer.silence
      for (const { backend, kind } of all) if (kind === "being probed") yield* Effect.forkChild(backend.probe)
      // their time is out a second after the sleep
      yield* adjust("9 seconds")
      sleep()
      for (const { server } of all) server.script.probe = ScriptedServer.answer
      const counts = () => all.map(({ server: { counts } }) => counts.probes + counts.attempts)
      const [before, noted0, cpu] = [counts(), books.probes.length, process.cpuUsage()]
      yield* adjust("20 seconds")
      const { system, user } = process.cpuUsage(cpu)
      const after = counts()
      const probes = books.probes.since(noted0)
      const told = [
        `asleep for an hour, monotonic time ${monotonic}: ${probes.length} probes within`,
        `${Math.max(...probes) - Math.min(...probes)} ms, ${((system + user) / 1e6).toFixed(1)} s of CPU`
      ]
      yield* Effect.sync(() => console.log(told.join(" ")))
      const asked = (kind: (typeof kinds)[number]) =>
        new Set(all.flatMap((each, nth) => (each.kind === kind ? [(after[nth] ?? 0) - (before[nth] ?? 0)] : [])))
      return { all, asked, began, ended: yield* states(), probes, broken: books.attempts.broken + books.probes.broken }
    }).pipe(Effect.provideService(Clock.Clock, clock))
  )

describe("1,000 backends whose machine slept for an hour", () => {
  it.effect(
    "are asked once each, spread over the limits; nothing is declared dead, circuits and rejected credentials keep their time",
    () =>
      Effect.gen(function* () {
        const { all, asked, began, broken, ended, probes } = yield* slept("stops")
        assert.strictEqual(broken, 0)
        assert.deepStrictEqual([...asked("well")], [1])
        assert.deepStrictEqual([...asked("being probed")], [1])
        assert.deepStrictEqual([...asked("down")], [1])
        assert.deepStrictEqual([...asked("circuit open")], [0])
        assert.deepStrictEqual([...asked("credentials rejected")], [0])
        assert.isAtMost(worst(probes, probes.length), 50)
        for (const [nth, { kind }] of all.entries()) {
          const [before, after] = [began[nth], ended[nth]]
          if (kind === "well" || kind === "being probed") {
            assert.deepInclude(after, { _tag: "Connected", generation: 1 })
          } else if (kind === "down") {
            assert.deepInclude(after, { _tag: "Disconnected", attempt: 2 })
          } else {
            assert(before && "nextAttemptAt" in before && before.nextAttemptAt !== undefined)
            assert.deepStrictEqual(after, { ...before, nextAttemptAt: before.nextAttemptAt + hour })
          }
        }
      }),
    60_000
  )

  it.effect(
    "where monotonic time goes on: timers that come an hour late declare nothing dead, and circuits keep their time",
    () =>
      Effect.gen(function* () {
        const { all, asked, began, broken, ended } = yield* slept("goes on")
        assert.strictEqual(broken, 0)
        assert.deepStrictEqual([...asked("being probed")], [1])
        for (const kind of kinds) if (kind !== "being probed") assert.deepStrictEqual([...asked(kind)], [0])
        for (const [nth, { kind }] of all.entries()) {
          if (kind === "being probed") assert.deepInclude(ended[nth], { _tag: "Connected", generation: 1 })
          else assert.deepStrictEqual(ended[nth], began[nth])
        }
      }),
    60_000
  )
})
