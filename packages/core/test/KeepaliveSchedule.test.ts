import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { Untimed } from "../src/ConnectionState.ts"
import type { ScheduleName } from "../src/engine/Action.ts"
import { KeepalivePolicy, KeepaliveSchedule } from "../src/index.ts"
import * as Delays from "../src/internal/delays.ts"

const seconds = (delay: Duration.Duration) => Duration.toMillis(delay) / 1000

/** The first delays of a schedule in seconds, stepped by hand: each step is taken when its predecessor's delay has passed. */
const steps = (schedule: Schedule.Schedule<unknown>, count: number) =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(schedule)
    const delays: Array<number> = []
    let now = 0
    for (let index = 0; index < count; index++) {
      const delay = seconds(yield* Delays.delayOf(step(now, undefined)))
      delays.push(delay)
      now += delay * 1000
    }
    return delays
  })

const stepped = (schedule: Schedule.Schedule<unknown>, count: number, seed: string | number = "seed") =>
  Effect.runSync(Random.withSeed(steps(schedule, count), seed))

/** A delay that is not stepped, in seconds. */
const single = (policy: KeepalivePolicy.KeepalivePolicy, name: ScheduleName) =>
  Effect.runSync(
    Effect.map(Random.Random, (random) => {
      const delay = new Delays.Delays(policy).next(name, 0, random)
      assert(typeof delay === "number", "it is known at once")
      return delay / 1000
    })
  )

const policyOf = (options: KeepalivePolicy.Options) => {
  const { issues, policy } = KeepalivePolicy.resolve(options, { connectTimeout: "30 seconds", supportsOptions: true })
  assert.deepStrictEqual(issues, [])
  return policy
}

const assertWithin = (delay: number, low: number, high: number, what: string) => {
  // a nanosecond of rounding
  assert.isAtLeast(delay, low - 1e-9, what)
  assert.isAtMost(delay, high + 1e-9, what)
}

const summed = (delays: ReadonlyArray<number>) => {
  let at = 0
  return delays.map((delay) => (at += delay))
}

describe("cadence", () => {
  it("probes first within a quarter of the interval, then every interval ±10 %, over 10,000 steps", () => {
    const [first, ...later] = stepped(KeepaliveSchedule.cadence("300 seconds"), 10_000)
    assert.isDefined(first)
    assertWithin(first ?? -1, 0, 75, "first")
    assert.strictEqual(later.length, 9_999)
    for (const delay of later) assertWithin(delay, 270, 330, "later")
    // the whole width is used: the jitter is neither smaller than promised nor to one side
    assert.isBelow(Math.min(...later), 271)
    assert.isAbove(Math.max(...later), 329)
  })

  it("draws the jitter anew at every step (the first seed drew it once)", () => {
    const later = stepped(KeepaliveSchedule.cadence("300 seconds"), 1_001).slice(1)
    assert.isAtLeast(new Set(later).size, 990)
  })

  it("spreads the first probes of many backends over the whole quarter", () => {
    const firsts = Array.from(
      { length: 400 },
      (_, seed) => stepped(KeepaliveSchedule.cadence("300 seconds"), 1, seed)[0] ?? -1
    )
    for (const quarter of [0, 1, 2, 3]) {
      const inQuarter = firsts.filter((first) => Math.floor(first / 18.75) === quarter)
      assert.isAtLeast(inQuarter.length, 60, `${quarter}`)
    }
  })

  it("never keeps two backends in step: they drift apart by whole intervals", () => {
    const one = summed(stepped(KeepaliveSchedule.cadence("300 seconds"), 10_000, "one"))
    const other = summed(stepped(KeepaliveSchedule.cadence("300 seconds"), 10_000, "other"))
    const apart = one.map((at, index) => Math.abs(at - (other[index] ?? 0)))
    assert.isAbove(Math.max(...apart), 300)
    const inStep = apart.filter((distance, index) => index > 0 && distance === apart[index - 1])
    assert.strictEqual(inStep.length, 0)
  })

  it("is the same again with the same seed", () => {
    const cadence = KeepaliveSchedule.cadence("1 minute")
    assert.deepStrictEqual(stepped(cadence, 100, 7), stepped(cadence, 100, 7))
    assert.notDeepEqual(stepped(cadence, 100, 7), stepped(cadence, 100, 8))
  })

  it("keeps its bounds for every interval and every seed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 86_400_000 }), fc.integer(), (interval, seed) => {
        const [first, ...later] = stepped(KeepaliveSchedule.cadence(interval), 20, seed)
        assertWithin(first ?? -1, 0, interval / 4000, "first")
        for (const delay of later) assertWithin(delay, (interval * 0.9) / 1000, (interval * 1.1) / 1000, "later")
      })
    )
  })
})

describe("confirm", () => {
  it("asks every confirmInterval, exactly", () => {
    assert.deepStrictEqual(stepped(KeepaliveSchedule.confirm("5 seconds"), 4), [5, 5, 5, 5])
  })
})

describe("backoff", () => {
  const backoff = KeepaliveSchedule.backoff({ initial: "1 second", factor: 2, cap: "300 seconds" })

  it("waits 1, 2, 4, … 300 s within ±20 %, and never longer than the cap after jitter (the second seed: 360 s)", () => {
    for (const seed of ["one", "other", "third"]) {
      const delays = stepped(backoff, 2_000, seed)
      delays.forEach((delay, index) => {
        const planned = Math.min(2 ** index, 300)
        assertWithin(delay, planned * 0.8, Math.min(planned * 1.2, 300), `step ${index}`)
      })
      assert.strictEqual(Math.max(...delays), 300)
      assert.isBelow(Math.min(...delays.slice(9)), 245)
    }
  })

  it("keeps its bounds for every initial, factor, cap and seed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60_000 }),
        fc.double({ min: 1, max: 1e6, noNaN: true }),
        fc.integer({ min: 0, max: 3_600_000 }),
        fc.integer(),
        (initial, factor, more, seed) => {
          const cap = initial + more
          const delays = stepped(KeepaliveSchedule.backoff({ initial, factor, cap }), 60, seed)
          delays.forEach((delay, index) => {
            const planned = Math.min(initial * factor ** index, cap)
            // nanoseconds are the grain
            assert.isAtLeast(delay * 1000, planned * 0.8 - 1e-5)
            assert.isAtMost(delay * 1000, Math.min(planned * 1.2, cap) + 1e-5)
          })
        }
      )
    )
  })

  it("stays at the cap also after so many steps that the exponential overflows", () => {
    const delays = stepped(backoff, 1_200)
    for (const delay of delays.slice(1_100)) assertWithin(delay, 240, 300, "late")
  })
})

describe("openFor", () => {
  it("is exact, and longer after each failed trial, up to its cap", () => {
    const openFor = KeepaliveSchedule.openFor({ initial: "30 seconds", factor: 2, cap: "5 minutes" })
    assert.deepStrictEqual(stepped(openFor, 6), [30, 60, 120, 240, 300, 300])
  })

  it("is always the same where the policy gives one duration", () => {
    const { openFor } = Delays.ofPolicy(policyOf({ circuit: { openFor: "30 minutes" } }))
    assert.deepStrictEqual(stepped(openFor, 4), [1800, 1800, 1800, 1800])
  })
})

describe("the schedules of a policy", () => {
  it("are the policy's numbers", () => {
    const policy = policyOf({
      interval: "40 seconds",
      confirmInterval: "3 seconds",
      stableAfter: "7 seconds",
      idleAfter: "2 minutes",
      backoff: { initial: "2 seconds", factor: 3, cap: "10 seconds" },
      circuit: { openFor: { initial: "4 seconds", factor: 2, cap: "6 seconds" } }
    })
    const schedules = Delays.ofPolicy(policy)
    const [first, second] = stepped(schedules.cadence, 2)
    assertWithin(first ?? -1, 0, 10, "first")
    assertWithin(second ?? -1, 36, 44, "second")
    const [, tripled, capped] = stepped(schedules.backoff, 3)
    assertWithin(tripled ?? -1, 4.8, 7.2, "tripled")
    assertWithin(capped ?? -1, 8, 10, "capped")
    assert.deepStrictEqual(stepped(schedules.openFor, 3), [4, 6, 6])
    assert.strictEqual(single(policy, "confirm"), 3)
    assert.strictEqual(single(policy, "confirmInterval"), 3)
    assert.strictEqual(single(policy, "stableAfter"), 7)
    assert.strictEqual(single(policy, "idleAfter"), 120)
  })

  it("decide the delays of probes at once as its cadence does, and begin anew when they are reset", () => {
    const policy = policyOf({ interval: "40 seconds" })
    const delays = new Delays.Delays(policy)
    const next = Effect.map(Random.Random, (random) => {
      const delay = delays.next("cadence", 0, random)
      assert(typeof delay === "number", "it is known at once")
      return delay / 1000
    })
    const drawn = (count: number) =>
      Effect.runSync(Random.withSeed(Effect.all(Array.from({ length: count }, () => next)), "seed"))
    const expected = stepped(Delays.ofPolicy(policy).cadence, 50)
    for (let round = 0; round < 2; round++) {
      const found: ReadonlyArray<number> = drawn(50)
      for (const [nth, delay] of found.entries()) assert.closeTo(delay, expected[nth] ?? -1, 1e-8)
      delays.reset("cadence")
    }
  })

  it("give way to one's own", () => {
    const schedules = Delays.ofPolicy(
      policyOf({
        cadence: Schedule.spaced("11 seconds"),
        backoff: Schedule.spaced("12 seconds"),
        circuit: { openFor: Schedule.fibonacci("13 seconds") }
      })
    )
    assert.deepStrictEqual(stepped(schedules.cadence, 3), [11, 11, 11])
    assert.deepStrictEqual(stepped(schedules.backoff, 3), [12, 12, 12])
    assert.deepStrictEqual(stepped(schedules.openFor, 4), [13, 13, 26, 39])
  })

  it("go on with the last delay of one's own schedule that ends", () => {
    const ends = Schedule.exponential("2 seconds").pipe(Schedule.upTo({ times: 3 }))
    const schedules = Delays.ofPolicy(policyOf({ cadence: ends, backoff: ends, circuit: { openFor: ends } }))
    for (const schedule of [schedules.cadence, schedules.backoff, schedules.openFor]) {
      assert.deepStrictEqual(stepped(schedule, 6), [2, 4, 8, 8, 8, 8])
    }
  })

  it("wait a second where one's own schedule ends before its first delay", () => {
    const { backoff } = Delays.ofPolicy(policyOf({ backoff: Schedule.recurs(0) }))
    assert.deepStrictEqual(stepped(backoff, 3), [1, 1, 1])
  })

  it("begin afresh whenever they are stepped anew", () => {
    const { openFor } = Delays.ofPolicy(policyOf({}))
    assert.deepStrictEqual(stepped(openFor, 3), [30, 60, 120])
    assert.deepStrictEqual(stepped(openFor, 3), [30, 60, 120])
  })

  it("name a delay for NeedsAuth also without a circuit", () => {
    const { openFor } = Delays.ofPolicy(policyOf({ circuit: "none" }))
    assert.deepStrictEqual(stepped(openFor, 5), [30, 60, 120, 240, 300])
  })

  it("never hammer a server that says Retry-After: 0, and never sleep by themselves", () => {
    assert.strictEqual(single(policyOf({}), "retryAfter"), 1)
    assert.strictEqual(single(policyOf({}), "idleAfter"), Infinity)
  })

  it("honour Retry-After up to the cap of the backoff, 5 minutes where the backoff is one's own", () => {
    const cap = (options: KeepalivePolicy.Options) => seconds(Delays.retryAfterCap(policyOf(options)))
    assert.strictEqual(cap({}), 300)
    assert.strictEqual(cap({ backoff: { cap: "20 seconds" } }), 20)
    assert.strictEqual(cap({ backoff: { cap: "1 hour" } }), 3600)
    assert.strictEqual(cap({ backoff: Schedule.spaced("1 second") }), 300)
  })
})

describe("each schedule, alone", () => {
  /** When an effect runs that is repeated so often. */
  const repeated = (schedule: Schedule.Schedule<unknown>, times: number) =>
    Effect.gen(function* () {
      const ran: Array<number> = []
      const record = Effect.map(Clock.currentTimeMillis, (now) => ran.push(now / 1000))
      const fiber = yield* Effect.forkChild(Effect.repeat(record, Schedule.upTo(schedule, { times })))
      yield* TestClock.adjust("1 day")
      yield* Fiber.join(fiber)
      return ran
    })

  it.effect("repeats an effect", () =>
    Effect.gen(function* () {
      const ran = yield* repeated(KeepaliveSchedule.cadence("1 minute"), 3)
      assert.strictEqual(ran[0], 0)
      assertWithin(ran[1] ?? -1, 0, 15.001, "first")
      assertWithin((ran[2] ?? -1) - (ran[1] ?? 0), 53.999, 66.001, "second")
      assertWithin((ran[3] ?? -1) - (ran[2] ?? 0), 53.999, 66.001, "third")
    }).pipe(Random.withSeed("repeat"))
  )

  it.effect("repeats an effect at the pace of confirm and of openFor", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* repeated(KeepaliveSchedule.confirm("5 seconds"), 3), [0, 5, 10, 15])
      const begun = (yield* Clock.currentTimeMillis) / 1000
      const openFor = KeepaliveSchedule.openFor({ initial: "30 seconds", factor: 2, cap: "1 minute" })
      assert.deepStrictEqual(
        (yield* repeated(openFor, 3)).map((at) => at - begun),
        [0, 30, 90, 150]
      )
    })
  )

  it.effect("retries an effect until it succeeds", () =>
    Effect.gen(function* () {
      const failing = (schedule: Schedule.Schedule<unknown>) =>
        Effect.gen(function* () {
          const begun = yield* Clock.currentTimeMillis
          const ran: Array<number> = []
          const attempt = Effect.flatMap(Clock.currentTimeMillis, (now) => {
            ran.push((now - begun) / 1000)
            return ran.length < 4 ? Effect.fail("down") : Effect.succeed("up")
          })
          const fiber = yield* Effect.forkChild(Effect.retry(attempt, schedule))
          yield* TestClock.adjust("1 day")
          assert.strictEqual(yield* Fiber.join(fiber), "up")
          return ran
        })
      const openFor = KeepaliveSchedule.openFor({ initial: "30 seconds", factor: 2, cap: "1 minute" })
      assert.deepStrictEqual(yield* failing(openFor), [0, 30, 90, 150])
      const backoff = KeepaliveSchedule.backoff({ initial: "1 second", factor: 2, cap: "300 seconds" })
      const [first, second, third, fourth] = yield* failing(backoff)
      assert.strictEqual(first, 0)
      assertWithin(second ?? -1, 0.799, 1.201, "second")
      assertWithin(third ?? -1, 2.399, 3.601, "third")
      assertWithin(fourth ?? -1, 5.599, 8.401, "fourth")
    }).pipe(Random.withSeed("retry"))
  )
})

describe("the table as one schedule", () => {
  /** Drives an effect that fails in the given spans of time: when it ran, and the state after it. */
  const driven = (
    options: KeepalivePolicy.Options,
    outages: ReadonlyArray<readonly [from: number, to: number]>,
    until: number
  ) =>
    Effect.gen(function* () {
      const seen: Array<readonly [at: number, state: Untimed]> = []
      const bare = Effect.flatMap(Clock.currentTimeMillis, (now) =>
        outages.some(([from, to]) => now >= from * 1000 && now < to * 1000) ? Effect.fail("down") : Effect.succeed("up")
      )
      const schedule = yield* KeepaliveSchedule.make(options)
      const watched = Schedule.tap(schedule, ({ output }) =>
        Effect.map(Clock.currentTimeMillis, (now) => seen.push([now / 1000, output]))
      )
      yield* Effect.forkScoped(bare.pipe(Effect.exit, Effect.repeat(watched)))
      yield* TestClock.adjust(Duration.seconds(until))
      return seen
    })

  const exact: KeepalivePolicy.Options = {
    cadence: Schedule.spaced("60 seconds"),
    confirmInterval: "5 seconds",
    failureThreshold: 3,
    backoff: Schedule.exponential("1 second"),
    circuit: { failures: 3, openFor: { initial: "30 seconds", factor: 2, cap: "5 minutes" } },
    stableAfter: "2 minutes"
  }

  it.effect("goes the main road: Unhealthy, lost, backoff, circuit open, one trial, and afresh only when stable", () =>
    Effect.gen(function* () {
      const reason = "unknown"
      const held = false
      const seen = yield* driven(
        exact,
        [
          [240, 300],
          [400, 500],
          [700, 1000]
        ],
        760
      )
      assert.deepStrictEqual(seen, [
        [0, { _tag: "Connected", generation: 1 }],
        [60, { _tag: "Connected", generation: 1 }],
        [120, { _tag: "Connected", generation: 1 }],
        [180, { _tag: "Connected", generation: 1 }],
        [240, { _tag: "Unhealthy", generation: 1, failures: 1, reason, held }],
        [245, { _tag: "Unhealthy", generation: 1, failures: 2, reason, held }],
        // lost, and stable: an attempt at once
        [250, { _tag: "Connecting", attempt: 1, trial: false, reason }],
        [250, { _tag: "Disconnected", attempt: 1, reason }],
        [251, { _tag: "Disconnected", attempt: 2, reason }],
        [253, { _tag: "CircuitOpen", openings: 1, reason }],
        [283, { _tag: "CircuitOpen", openings: 2, reason }],
        // one trial
        [343, { _tag: "Connected", generation: 2 }],
        [403, { _tag: "Unhealthy", generation: 2, failures: 1, reason, held }],
        [408, { _tag: "Unhealthy", generation: 2, failures: 2, reason, held }],
        // lost before it was stable: the next, longer delay
        [413, { _tag: "CircuitOpen", openings: 3, reason }],
        [533, { _tag: "Connected", generation: 3 }],
        [593, { _tag: "Connected", generation: 3 }],
        // stable: afresh
        [653, { _tag: "Connected", generation: 3 }],
        [713, { _tag: "Unhealthy", generation: 3, failures: 1, reason, held }],
        [718, { _tag: "Unhealthy", generation: 3, failures: 2, reason, held }],
        [723, { _tag: "Connecting", attempt: 1, trial: false, reason }],
        [723, { _tag: "Disconnected", attempt: 1, reason }],
        [724, { _tag: "Disconnected", attempt: 2, reason }],
        [726, { _tag: "CircuitOpen", openings: 1, reason }],
        [756, { _tag: "CircuitOpen", openings: 2, reason }]
      ])
    })
  )

  it.effect(
    "is stable only when an answer came after stableAfter: earlier answers do not close the circuit's account",
    () =>
      Effect.gen(function* () {
        const seen = yield* driven(
          { ...exact, failureThreshold: 1, circuit: { failures: 1 }, stableAfter: "80 seconds" },
          [
            [0, 1],
            [150, 151],
            [390, 391]
          ],
          391
        )
        assert.deepStrictEqual(
          seen.map(([at, state]) => [at, state._tag, state._tag === "CircuitOpen" ? state.openings : 0]),
          [
            [0, "CircuitOpen", 1],
            [30, "Connected", 0],
            // 60 seconds old
            [90, "Connected", 0],
            // 120 seconds old, but this is no answer
            [150, "CircuitOpen", 2],
            [210, "Connected", 0],
            [270, "Connected", 0],
            // stable
            [330, "Connected", 0],
            [390, "Connecting", 0],
            [390, "CircuitOpen", 1]
          ]
        )
      })
  )

  it.effect("slows a flapping effect down: a session lost before it was stable takes the next backoff", () =>
    Effect.gen(function* () {
      const flapping = {
        ...exact,
        circuit: "none",
        failureThreshold: 1,
        cadence: Schedule.spaced("10 seconds"),
        stableAfter: "15 seconds"
      } as const
      const seen = yield* driven(
        flapping,
        [
          [10, 11],
          [21, 22],
          [33, 34]
        ],
        40
      )
      assert.deepStrictEqual(
        seen.map(([at, state]) => [at, state._tag]),
        [
          [0, "Connected"],
          [10, "Disconnected"],
          [11, "Connected"],
          [21, "Disconnected"],
          [23, "Connected"],
          [33, "Disconnected"],
          [37, "Connected"]
        ]
      )
    })
  )

  it.effect("never gives up without a circuit, and reaches the cap of its backoff", () =>
    Effect.gen(function* () {
      const seen = yield* driven({ circuit: "none", backoff: { cap: "10 seconds" } }, [[0, 4000]], 3600)
      assert.isTrue(seen.every(([, state]) => state._tag === "Disconnected"))
      const gaps = seen.slice(1).map(([at], index) => at - (seen[index]?.[0] ?? 0))
      for (const gap of gaps) assert.isAtMost(gap, 10)
      for (const gap of gaps.slice(5)) assert.isAtLeast(gap, 8)
    }).pipe(Random.withSeed("cap"))
  )

  it.effect("keeps the defaults' bounds: cadence within a quarter, then ±10 %; death confirmed every 5 seconds", () =>
    Effect.gen(function* () {
      const seen = yield* driven({}, [[1_000, 1_100_000]], 1_400)
      const times = seen.map(([at]) => at)
      const tags = seen.map(([, state]) => state._tag)
      assert.deepStrictEqual(tags.slice(0, 3), ["Connected", "Connected", "Connected"])
      assertWithin(times[1] ?? -1, 0, 75, "first")
      const fallen = tags.indexOf("Unhealthy")
      for (let index = 2; index <= fallen; index++) {
        assertWithin((times[index] ?? -1) - (times[index - 1] ?? 0), 269.999, 330.001, `${index}`)
      }
      assert.deepStrictEqual(tags.slice(fallen, fallen + 4), ["Unhealthy", "Unhealthy", "Connecting", "Disconnected"])
      assertWithin((times[fallen + 1] ?? -1) - (times[fallen] ?? 0), 5, 5.001, "confirm")
      assertWithin((times[fallen + 2] ?? -1) - (times[fallen] ?? 0), 10, 10.002, "confirm")
      assert.strictEqual(times[fallen + 3], times[fallen + 2])
      assert.strictEqual(tags.at(-1), "CircuitOpen")
    }).pipe(Random.withSeed("defaults"))
  )

  it.effect("takes a defect for a failure like any other, and goes on", () =>
    Effect.gen(function* () {
      const schedule = yield* KeepaliveSchedule.make(exact)
      const step = yield* Schedule.toStep(schedule)
      const [first, firstDelay] = yield* step(0, Exit.die("broken"))
      assert.deepStrictEqual(first, { _tag: "Disconnected", attempt: 1, reason: "unknown" })
      assert.strictEqual(seconds(firstDelay), 1)
      const [second, secondDelay] = yield* step(1000, Exit.void)
      assert.deepStrictEqual(second, { _tag: "Connected", generation: 1 })
      assert.strictEqual(seconds(secondDelay), 60)
    })
  )

  it.effect("keeps a state of its own for every effect that it drives", () =>
    Effect.gen(function* () {
      const schedule = yield* KeepaliveSchedule.make(exact)
      const one = yield* Schedule.toStep(schedule)
      const other = yield* Schedule.toStep(schedule)
      yield* one(0, Exit.fail("down"))
      yield* one(1000, Exit.fail("down"))
      const [state, delay] = yield* other(1000, Exit.fail("down"))
      assert.deepStrictEqual(state, { _tag: "Disconnected", attempt: 1, reason: "unknown" })
      assert.strictEqual(seconds(delay), 1)
    })
  )

  it("never ends and never asks for a negative or an infinite delay, whatever goes in and however late", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ up: fc.boolean(), late: fc.integer({ min: 0, max: 120_000 }) }), { maxLength: 200 }),
        fc.integer(),
        (rounds, seed) => {
          const run = Effect.gen(function* () {
            const step = yield* Schedule.toStep(yield* KeepaliveSchedule.make({ interval: "30 seconds" }))
            let now = 0
            let openings = 0
            for (const { late, up } of rounds) {
              const [state, delay] = yield* step(now, up ? Exit.void : Exit.fail("down"))
              assert.isTrue(Duration.isFinite(delay))
              assertWithin(seconds(delay), 0, 300, state._tag)
              if (state._tag === "CircuitOpen") {
                assert.isTrue(state.openings === 1 || state.openings === openings + 1, "one opening at a time")
                openings = state.openings
                assert.strictEqual(seconds(delay), Math.min(30 * 2 ** (openings - 1), 300))
              }
              if (state._tag === "Connected") assert.isAtLeast(seconds(delay), 0)
              if (state._tag === "Unhealthy") assert.strictEqual(seconds(delay), 5)
              assert.include(["Connected", "Unhealthy", "Connecting", "Disconnected", "CircuitOpen"], state._tag)
              assert.strictEqual(up, state._tag === "Connected")
              now += Duration.toMillis(delay) + late
            }
          })
          Effect.runSync(Random.withSeed(run, seed))
        }
      )
    )
  })

  it.effect("says everything that is wrong with its options, with path and bound", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        KeepaliveSchedule.make({ interval: "0 seconds", failureThreshold: 0, circuit: { failures: 1.5 } })
      )
      assert.strictEqual(error._tag, "ConfigurationError")
      assert.deepStrictEqual(
        error.issues.map((issue) => issue.path.join(".")),
        ["policy.interval", "policy.failureThreshold", "policy.circuit.failures"]
      )
      assert.include(error.message, "1 second to 24 hours")
    })
  )
})
