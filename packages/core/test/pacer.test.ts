/** How starts are paced: the limits hold at every instant, nobody is forgotten, and nothing is left. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { TestClock } from "effect/testing"
import type { Connector } from "../src/index.ts"
import * as Deadlines from "../src/internal/deadlines.ts"
import { type Limits, Pacer, Start } from "../src/internal/pacer.ts"

const current = Effect.contextWith((context: Parameters<typeof Deadlines.of>[0]) =>
  Effect.succeed(Deadlines.of(context))
)

/** What was asked for, in the order of asking, and what came of it: kept apart from the pacer, to check it. */
interface Asked {
  readonly start: Start
  readonly origin: Connector.Origin | undefined
  begunAt: number | undefined
  hasLeft: boolean
}

/** Checks at every instant what a pacer promises. */
class Oracle {
  readonly #limits: Limits
  readonly #deadlines: Deadlines.Deadlines
  readonly #pacer: Pacer
  readonly asked: Array<Asked> = []
  /** what was broken: in a turn of a deadline nobody hears what is thrown */
  readonly broken: Array<string> = []

  constructor(limits: Limits, deadlines: Deadlines.Deadlines) {
    this.#limits = limits
    this.#deadlines = deadlines
    this.#pacer = new Pacer(limits, deadlines)
  }

  enter(origin: Connector.Origin | undefined, then: (asked: Asked) => void = () => {}): Asked {
    const start = new Start(this.#pacer, origin, () => {
      this.#promise(!asked.hasLeft, "nobody begins who has left")
      this.#promise(asked.begunAt === undefined, "nobody begins twice")
      const earlier = this.waiting().find((other) => other !== asked && this.#hasRoom(other))
      asked.begunAt = this.#deadlines.now()
      const isBefore = earlier !== undefined && this.asked.indexOf(earlier) < this.asked.indexOf(asked)
      this.#promise(!isBefore, "who came first begins first, unless its origin has no room")
      this.#assertLimits()
      then(asked)
    })
    const asked: Asked = { start, origin, begunAt: undefined, hasLeft: false }
    this.asked.push(asked)
    start.enter()
    this.#promise(start.isWaiting === (asked.begunAt === undefined), "it knows whether it waits")
    return asked
  }

  leave(asked: Asked | undefined): void {
    if (asked === undefined) return
    asked.hasLeft = true
    asked.start.leave()
  }

  waiting(): ReadonlyArray<Asked> {
    return this.asked.filter(({ begunAt, hasLeft }) => begunAt === undefined && !hasLeft)
  }

  /** Once every turn was taken that is due. */
  assertSettled(): void {
    this.#assertLimits()
    this.#promise(!this.waiting().some((asked) => this.#hasRoom(asked)), "nobody waits for whom there is room")
    assert.deepStrictEqual(this.broken, [])
  }

  #promise(isKept: boolean, promise: string): void {
    if (!isKept) this.broken.push(promise)
  }

  #holding(): ReadonlyArray<Asked> {
    const now = this.#deadlines.now()
    return this.asked.filter(
      ({ begunAt, hasLeft }) => begunAt !== undefined && !hasLeft && now < begunAt + this.#limits.hold
    )
  }

  #limitOf({ limit = this.#limits.perOrigin }: Connector.Origin): number {
    return Math.max(1, limit)
  }

  #hasRoom({ origin }: Asked): boolean {
    const holding = this.#holding()
    const there = holding.filter((other) => other.origin?.key === origin?.key)
    return holding.length < this.#limits.atOnce && (origin === undefined || there.length < this.#limitOf(origin))
  }

  #assertLimits(): void {
    const holding = this.#holding()
    this.#promise(holding.length <= this.#limits.atOnce, "the limit of all")
    for (const { origin } of holding) {
      if (origin === undefined) continue
      const there = holding.filter((other) => other.origin?.key === origin.key)
      this.#promise(there.length <= this.#limitOf(origin), "the limit of an origin")
    }
  }
}

describe("the pacer", () => {
  it("holds every limit at every instant, in the order of coming, and forgets nobody, whatever happens", () => {
    const anyOrigin = fc.option(
      fc.constantFrom(
        { key: "a" },
        { key: "b" },
        { key: "c", limit: 1 },
        { key: "d", limit: 4 },
        { key: "e", limit: 0 }
      ),
      { nil: undefined }
    )
    const anyMoves = fc.array(
      fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({ enter: anyOrigin, does: fc.constantFrom("stay", "stay", "leave", "again") })
        },
        { weight: 3, arbitrary: fc.record({ leave: fc.nat(60) }) },
        { weight: 2, arbitrary: fc.record({ pass: fc.integer({ min: 0, max: 12 }) }) }
      ),
      { maxLength: 120, size: "max" }
    )
    const anyLimits = fc.record({
      atOnce: fc.integer({ min: 1, max: 5 }),
      perOrigin: fc.integer({ min: 1, max: 3 }),
      hold: fc.integer({ min: 1, max: 10 })
    })
    return fc.assert(
      fc.asyncProperty(anyLimits, anyMoves, (limits, moves) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const oracle = new Oracle(limits, yield* current)
            for (const move of moves) {
              if ("enter" in move) {
                const { does, enter } = move
                oracle.enter(enter, (asked) => {
                  // what is quickly done leaves as it begins, and may begin anew in its place
                  if (does !== "stay") oracle.leave(asked)
                  if (does === "again") oracle.enter(enter)
                })
              } else if ("leave" in move) {
                oracle.leave(oracle.asked[move.leave])
              } else {
                yield* TestClock.adjust(move.pass)
                oracle.assertSettled()
              }
            }
            // one by one at the slowest, and those that begin anew
            yield* TestClock.adjust(limits.hold * (2 * moves.length + 1))
            oracle.assertSettled()
            assert.deepStrictEqual(oracle.waiting(), [])
          }).pipe(Effect.provide(TestClock.layer()))
        )
      ),
      { numRuns: 500 }
    )
  })

  it.effect("is as it was when all have left: no permit is lost, nothing is due", () =>
    Effect.gen(function* () {
      const deadlines = yield* current
      let due = 0
      const counting: Deadlines.Deadlines = {
        now: deadlines.now,
        set: (at, then) => {
          due++
          return deadlines.set(at, () => {
            due--
            then()
          })
        },
        cancel: (deadline) => {
          if (deadline !== undefined) due--
          deadlines.cancel(deadline)
        }
      }
      const oracle = new Oracle({ atOnce: 4, perOrigin: 2, hold: 1000 }, counting)
      const origins = [undefined, { key: "a" }, { key: "b" }]
      for (let round = 0; round < 100; round++) {
        const asked = Array.from({ length: 9 }, (_, nth) => oracle.enter(origins[nth % 3]))
        assert.strictEqual(oracle.waiting().length, 5)
        assert.strictEqual(due, 1)
        for (const each of round % 2 === 0 ? asked : asked.toReversed()) oracle.leave(each)
        assert.strictEqual(due, 0)
      }
      oracle.assertSettled()
    })
  )

  it.effect("holds back nobody behind an origin that has no room", () =>
    Effect.gen(function* () {
      const oracle = new Oracle({ atOnce: 64, perOrigin: 8, hold: 250 }, yield* current)
      const crowd = Array.from({ length: 1000 }, () => oracle.enter({ key: "crowded" }))
      const other = oracle.enter({ key: "other" })
      assert.strictEqual(other.begunAt, 0)
      assert.strictEqual(crowd.filter(({ begunAt }) => begunAt !== undefined).length, 8)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(crowd.filter(({ begunAt }) => begunAt !== undefined).length, 8 * 41)
      oracle.assertSettled()
    })
  )

  it.effect("holds the limit that an origin has now: more begin with the next permit, fewer at once", () =>
    Effect.gen(function* () {
      const room = { limit: 2 }
      const origin = {
        key: "shared",
        get limit() {
          return room.limit
        }
      }
      const pacer = new Pacer({ atOnce: 64, perOrigin: 8, hold: 250 }, yield* current)
      let begun = 0
      const starts = Array.from({ length: 40 }, () => new Start(pacer, origin, () => begun++))
      for (const start of starts) start.enter()
      const begunIn = (span: number) =>
        Effect.gen(function* () {
          const before = begun
          yield* TestClock.adjust(span)
          return begun - before
        })
      assert.strictEqual(begun, 2)
      room.limit = 6
      assert.strictEqual(yield* begunIn(249), 0)
      assert.strictEqual(yield* begunIn(1), 6)
      room.limit = 3
      assert.strictEqual(yield* begunIn(250), 3)
      assert.strictEqual(yield* begunIn(250), 3)
      // one that had become ready before it shrank
      starts.find((start) => !start.isWaiting && start.chain !== undefined)?.leave()
      room.limit = 1
      assert.strictEqual(yield* begunIn(0), 0)
      assert.strictEqual(yield* begunIn(250), 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(begun, 40)
    })
  )

  it("lets 100,000 who wait at 10,000 origins begin in under a second of CPU, and as many leave", () => {
    let now = 0
    const dues: Array<() => void> = []
    const deadlines: Deadlines.Deadlines = {
      now: () => now,
      set: (_at, due) => {
        dues.push(due)
        return { due }
      },
      cancel: () => {}
    }
    const pacer = new Pacer({ atOnce: 64, perOrigin: 8, hold: 250 }, deadlines)
    let begun = 0
    const { system, user } = process.threadCpuUsage()
    const starts = Array.from({ length: 200_000 }, (_, nth) => {
      const start: Start = new Start(pacer, { key: `origin ${nth % 10_000}` }, () => {
        begun++
        start.leave()
      })
      return start
    })
    const blocking = Array.from({ length: 64 }, () => new Start(pacer, undefined, () => {}))
    for (const start of [...blocking, ...starts]) start.enter()
    assert.strictEqual(begun, 0)
    for (let nth = 0; nth < starts.length; nth += 2) starts[nth]?.leave()
    now = 250
    for (const due of dues.splice(0)) due()
    assert.strictEqual(begun, 100_000)
    const after = process.threadCpuUsage()
    assert.isBelow((after.system + after.user - system - user) / 1000, 1000)
  })
})
