/** What limits calls, without a backend around it. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as fc from "fast-check"
import { Limit, type Place } from "../src/internal/limit.ts"
import { Pool } from "../src/internal/pool.ts"
import { ReplayBudget } from "../src/internal/replayBudget.ts"

/** Calls of one backend by their number, and what becomes of each. */
class Calls {
  readonly limit: Limit
  readonly places: Array<Place> = []
  readonly began: Array<number> = []
  readonly rejected: Array<number> = []

  constructor(limit: Limit) {
    this.limit = limit
  }

  come(number: number): void {
    const place = this.limit.enter()
    if (place === undefined) return void this.rejected.push(number)
    this.places.push(place)
    if (place.start()) this.began.push(number)
    else place.queue(() => this.began.push(number))
  }

  /** Whether they began in the order in which they came. */
  get isOrdered(): boolean {
    return this.began.every((number, index) => index === 0 || number >= (this.began[index - 1] ?? 0))
  }

  get running(): number {
    return this.places.filter((place) => place.isRunning).length
  }

  /** One of those that run, or that wait, ends. */
  end(isRunning: boolean, choice: number): void {
    const some = this.places.filter((place) => place.isRunning === isRunning)
    const place = some[choice % some.length]
    if (place === undefined) return
    this.places.splice(this.places.indexOf(place), 1)
    place.leave()
  }
}

const anySteps = fc.array(fc.tuple(fc.constantFrom("come", "end", "interrupt", "time"), fc.nat(3), fc.nat(99)), {
  maxLength: 300,
  size: "max"
})

describe("a limit", () => {
  it("is kept whatever comes and goes: the order, the number that run, and the number that are admitted", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(10), anySteps, (maxConcurrent, queue, steps) => {
        let now = 0
        let number = 0
        const calls = new Calls(new Limit({ maxConcurrent, queue }, undefined, () => now))
        for (const [what, , choice] of steps) {
          const admitted = calls.places.length
          if (what === "come") calls.come(number++)
          else if (what === "time") now += choice
          else calls.end(what === "end", choice)
          assert.isAtMost(calls.running, maxConcurrent)
          assert.isAtMost(calls.places.length, maxConcurrent + queue)
          // no place is left free while somebody waits, and nobody is rejected while there is one
          assert.strictEqual(calls.running, Math.min(maxConcurrent, calls.places.length))
          if (what === "come") assert.strictEqual(calls.places.length === admitted, admitted === maxConcurrent + queue)
          assert.isTrue(calls.isOrdered)
        }
      }),
      { numRuns: 300 }
    )
  }, 30_000)

  it("lets nobody overtake who was admitted before and is not yet ready, and waits for nobody who has left", async () => {
    const limit = new Limit({ maxConcurrent: 2, queue: 10 }, undefined, () => 0)
    const began: Array<string> = []
    const [a, b, c] = [limit.enter(), limit.enter(), limit.enter()]
    assert(a !== undefined && b !== undefined && c !== undefined)
    assert.isFalse(b.start())
    b.queue(() => began.push("b"))
    assert.isTrue(a.start())
    began.push("a")
    await Promise.resolve()
    assert.deepStrictEqual(began, ["a", "b"])
    // it has no session any more: others wait for it, until it has left
    a.pause()
    assert.isFalse(c.start())
    c.queue(() => began.push("c"))
    assert.deepStrictEqual(began, ["a", "b"])
    a.leave()
    assert.deepStrictEqual(began, ["a", "b", "c"])
  })

  it("lets 100,000 who wait run one after the other, each ending at once, without a stack that grows", () => {
    const limit = new Limit({ maxConcurrent: 1, queue: 100_000 }, undefined, () => 0)
    const first = limit.enter()
    let ran = 0
    assert.isTrue(first?.start())
    for (let index = 0; index < 100_000; index++) {
      const place = limit.enter()
      place?.queue(() => {
        ran++
        place.leave()
      })
    }
    first?.leave()
    assert.strictEqual(ran, 100_000)
    assert.isTrue(limit.enter()?.start())
  })

  it("gives a time at the pace of those that ended; before any has, of a second each", () => {
    let now = 0
    const limit = new Limit({ maxConcurrent: 4, queue: 20 }, undefined, () => now)
    const calls = new Calls(limit)
    for (let number = 0; number < 25; number++) calls.come(number)
    assert.strictEqual(limit.retryAfter, (21 * 1000) / 4)
    for (let round = 0; round < 100; round++) {
      now += 200
      for (let ended = 0; ended < 4; ended++) calls.end(true, 0)
      while (!limit.isFull) calls.come(100)
    }
    assert.strictEqual(limit.retryAfter, (21 * 200) / 4)
    // a server that hangs
    now += 30_000
    assert.strictEqual(limit.retryAfter, 30_000)
  })

  it("is not misled by a pause in which nobody called", () => {
    let now = 0
    const limit = new Limit({ maxConcurrent: 1, queue: 1 }, undefined, () => now)
    const calls = new Calls(limit)
    calls.come(0)
    now += 100
    calls.end(true, 0)
    now += 3_600_000
    calls.come(1)
    calls.come(2)
    assert.strictEqual(limit.retryAfter, 2 * 100)
  })

  it("that is raised lets those run who wait, and one that is lowered ends nothing", () => {
    const calls = new Calls(new Limit({ maxConcurrent: 1, queue: 10 }, undefined, () => 0))
    for (let number = 0; number < 8; number++) calls.come(number)
    calls.limit.rebound({ maxConcurrent: 5, queue: 3 })
    assert.deepStrictEqual(calls.began, [0, 1, 2, 3, 4])
    calls.limit.rebound({ maxConcurrent: 2, queue: 0 })
    assert.strictEqual(calls.places.length, 8)
    for (let ended = 0; ended < 3; ended++) calls.end(true, 0)
    assert.strictEqual(calls.began.length, 5)
    calls.end(true, 0)
    assert.strictEqual(calls.began.length, 6)
  })
})

describe("places that are shared", () => {
  it("are kept whatever comes and goes, and who holds least is never kept out by who holds much", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(20), anySteps, (size, queue, steps) => {
        const pool = new Pool(size, queue)
        let number = 0
        const members = [1, Number.POSITIVE_INFINITY, 3, Number.POSITIVE_INFINITY].map(
          (maxConcurrent) => new Calls(new Limit({ maxConcurrent, queue: 5 }, pool, () => 0))
        )
        const sum = (count: (calls: Calls) => number) => members.reduce((all, calls) => all + count(calls), 0)
        for (const [what, member, choice] of steps) {
          const calls = members[member]
          if (calls === undefined) continue
          if (what === "come") calls.come(number++)
          else calls.end(what === "end", choice)
          assert.strictEqual(
            pool.running,
            sum(({ running }) => running)
          )
          assert.strictEqual(
            pool.waiting,
            sum(({ places, running }) => places.length - running)
          )
          assert.isAtMost(pool.running, size)
          assert.isAtMost(pool.waiting, queue)
          for (const { isOrdered, limit, places, running } of members) {
            assert.isTrue(isOrdered)
            // whoever has nothing running gets a free place at once
            if (pool.running < size && running === 0) assert.strictEqual(places.length, 0)
            assert.strictEqual(limit.isAwaited, places.length > running)
          }
        }
        for (const calls of members) {
          while (calls.places.length > 0) calls.end(calls.running > 0, 0)
        }
        assert.deepStrictEqual([pool.running, pool.waiting], [0, 0])
      }),
      { numRuns: 300 }
    )
  }, 30_000)

  for (const hogs of [1, 2, 3]) {
    it(`of 12, ${hogs} that hold on to theirs get ${12 / (hogs + 1)} each, and as many are left for who comes`, () => {
      const pool = new Pool(12, 1000)
      const many = () => new Calls(new Limit({ maxConcurrent: Number.POSITIVE_INFINITY, queue: 100 }, pool, () => 0))
      const slow = Array.from({ length: hogs }, many)
      for (let number = 0; number < 20; number++) for (const calls of slow) calls.come(number)
      for (const { running } of slow) assert.strictEqual(running, 12 / (hogs + 1))
      const quick = many()
      for (let number = 0; number < 1000; number++) {
        quick.come(number)
        assert.strictEqual(quick.running, 1)
        quick.end(true, 0)
      }
    })
  }

  it("go to those in turn who wait, however many of one wait", () => {
    const pool = new Pool(1, 1000)
    const flood = new Calls(new Limit({ maxConcurrent: 5, queue: 100 }, pool, () => 0))
    const calm = new Calls(new Limit({ maxConcurrent: 5, queue: 100 }, pool, () => 0))
    for (let number = 0; number < 50; number++) flood.come(number)
    calm.come(0)
    calm.come(1)
    flood.end(true, 0)
    flood.end(true, 0)
    assert.deepStrictEqual(calm.began, [0])
    calm.end(true, 0)
    flood.end(true, 0)
    assert.deepStrictEqual(
      [flood.began, calm.began],
      [
        [0, 1, 2],
        [0, 1]
      ]
    )
  })

  it("go to who was ready behind a call that was not, as soon as others give theirs back", () => {
    const pool = new Pool(4, 100)
    const [many, one, some] = [0, 1, 2].map(() => new Calls(new Limit({ maxConcurrent: 5, queue: 10 }, pool, () => 0)))
    assert(many !== undefined && one !== undefined && some !== undefined)
    for (const number of [0, 1]) many.come(number)
    one.come(0)
    const [first, second] = [some.limit.enter(), some.limit.enter()]
    assert(first !== undefined && second !== undefined)
    const began: Array<string> = []
    assert.isFalse(second.start())
    second.queue(() => began.push("second"))
    // the last place of all
    assert.isTrue(first.start())
    many.end(true, 0)
    many.end(true, 0)
    assert.deepStrictEqual(began, ["second"])
  })
})

describe("a budget for calls that are run again", () => {
  it("is kept over every window, one always", () => {
    const anyMoments = fc.array(fc.tuple(fc.integer({ min: 0, max: 900 }), fc.boolean()), {
      minLength: 100,
      maxLength: 600,
      size: "max"
    })
    fc.assert(
      fc.property(fc.constantFrom(0, 0.1, 0.2, 0.5, 1), anyMoments, (ratio, moments) => {
        const budget = new ReplayBudget({ ratio, window: Duration.seconds(10) })
        let now = 1e9
        const calls: Array<number> = []
        const replays: Array<number> = []
        for (const [later, isReplay] of moments) {
          now += later
          const within = (times: ReadonlyArray<number>, window: number) =>
            times.filter((time) => time > now - window).length
          if (!isReplay) {
            calls.push(now)
            budget.called(now)
          } else if (budget.take(now)) {
            replays.push(now)
            assert.isAtMost(within(replays, 10_000), Math.max(1, ratio * within(calls, 10_000)))
          } else {
            assert.isAbove(within(replays, 11_000), 0, "one is always allowed")
          }
        }
      }),
      { numRuns: 300 }
    )
  }, 30_000)

  it("allows a fifth of the calls, and no less for being counted in slices", () => {
    const budget = new ReplayBudget({ ratio: 0.2, window: Duration.seconds(10) })
    for (let at = 0; at < 9000; at += 10) budget.called(at)
    let replays = 0
    while (budget.take(9000)) replays++
    assert.strictEqual(replays, 180)
    assert.isFalse(budget.take(15_000))
    assert.isTrue(budget.take(25_000))
    assert.isFalse(budget.take(25_000))
  })
})
