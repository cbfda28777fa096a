/** What is told of a list, whatever the server lists one after the other. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Listed } from "../src/Connector.ts"
import { type Difference, KeptList, mostLeaving } from "../src/internal/keptList.ts"
import * as Table from "../src/internal/table.ts"

const entry = (name: string, fingerprint = 1): Listed => ({ name, fingerprint, replayable: false })
const tableOf = (...names: ReadonlyArray<string>) => Table.of(names.map((name) => entry(name)))

const nothing: Difference = { added: [], removed: [], changed: [] }

describe("an entry", () => {
  it("that comes, changes and goes is told once each", () => {
    const kept = new KeptList()
    assert.deepStrictEqual(kept.take(tableOf("b", "a"), 0, 10), { ...nothing, added: ["a", "b"] })
    assert.deepStrictEqual(kept.take(tableOf("a", "b"), 1, 11), nothing)
    const changed = Table.of([entry("a", 2), entry("b")])
    assert.deepStrictEqual(kept.take(changed, 2, 12), { ...nothing, changed: ["a"] })
    assert.deepStrictEqual(kept.take(tableOf("b", "c"), 3, 13), { ...nothing, added: ["c"] })
    assert.deepStrictEqual(kept.entries, [
      { name: "a", fingerprint: 2, removed: true },
      { name: "b", fingerprint: 1, removed: false },
      { name: "c", fingerprint: 1, removed: false }
    ])
    assert.deepStrictEqual(kept.expire(12), [])
    assert.deepStrictEqual(kept.expire(13), ["a"])
    assert.deepStrictEqual(kept.expire(1000), [])
  })

  it("that goes is told at once where there is no grace", () => {
    const kept = new KeptList()
    kept.take(tableOf("a"), 0, 0)
    assert.deepStrictEqual(kept.take(Table.empty, 5, 5), { ...nothing, removed: ["a"] })
    assert.isTrue(kept.isEmpty)
  })

  it("that comes back in time is not told, or as changed if it is another one", () => {
    const kept = new KeptList()
    kept.take(tableOf("a", "b"), 0, 10)
    kept.take(Table.empty, 1, 11)
    assert.deepStrictEqual(kept.take(Table.of([entry("a"), entry("b", 2)]), 2, 12), { ...nothing, changed: ["b"] })
    assert.deepStrictEqual(kept.expire(1000), [])
  })

  it("that has a long name is kept with a short one, which is its own", () => {
    const long = "x".repeat(100_000)
    const { names } = Table.of([entry(`${long}1`), entry(`${long}2`), entry("x".repeat(1024))])
    assert.strictEqual(new Set(names).size, 3)
    for (const name of names) assert.isAtMost(name.length, 1024)
    assert.include(names, "x".repeat(1024))
  })

  it("of a URI neither the query nor the user is kept, and two that differ in those stay two", () => {
    const { names } = Table.of(
      [
        "https://me:secret@example.com/a?token=secret",
        "https://example.com/a?token=secret2",
        "db://secret@host/{?page}"
      ].map((name) => entry(name))
    )
    assert.strictEqual(names.length, 3)
    for (const name of names) assert.notInclude(name, "secret")
    assert.deepStrictEqual(
      names.map((name) => name.split("…")[0]),
      ["db://host/{?page}", "https://example.com/a", "https://example.com/a"]
    )
    const plain = ["file:///a", "greeting", "mail: a?b", "https://example.com/{id}{?page,size}", "what?"].toSorted()
    assert.deepStrictEqual(
      Table.of(plain.map((name) => entry(name))).names.filter((name) => name.includes("…")).length,
      1
    )
  })
})

describe("a server that lists other names each time", () => {
  it("has at most as many kept as a list may have: of more, the first to go are removed", () => {
    const kept = new KeptList()
    const names = (round: number) => Array.from({ length: 4000 }, (_, index) => `${round} ${index}`)
    const removed: Array<string> = []
    for (let round = 0; round < 5; round++) {
      removed.push(...kept.take(tableOf(...names(round)), round, round + 1_000_000).removed)
    }
    assert.strictEqual(kept.entries.length, 4000 + mostLeaving)
    assert.strictEqual(removed.length, 4 * 4000 - mostLeaving)
    assert.isTrue(removed.every((name) => name.startsWith("0 ") || name.startsWith("1 ")))
  })
})

describe("backends whose servers list the same", () => {
  it("share one table, in whatever order it was listed", () => {
    const one = Table.of([entry("a", 7), entry("b", 8)])
    assert.strictEqual(Table.of([entry("b", 8), entry("a", 7)]), one)
    assert.notStrictEqual(Table.of([entry("b", 8), entry("a", 6)]), one)
    assert.notStrictEqual(Table.of([entry("b", 8), { ...entry("a", 7), replayable: true }]), one)
    assert.strictEqual(Table.of([]), Table.empty)
  })
})

// --------------------------------------------------------------------------------------------------------- any sequence

interface Step {
  readonly listed: ReadonlyArray<readonly [name: string, fingerprint: number]>
  readonly wait: number
}

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.record({
    listed: fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 1, max: 2 })), {
      maxLength: 6
    }),
    wait: fc.integer({ min: 0, max: 12 })
  }),
  { maxLength: 20 }
)

describe("whatever is listed", () => {
  it("the differences, applied to nothing, give what is known, and none is told that is none", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 15 }), (all, grace) => {
        const kept = new KeptList()
        /** what a reader of the differences has */
        const names = new Set<string>()
        /** when each was listed last, and as what, told or not */
        const last = new Map<string, { readonly at: number; readonly fingerprint: number }>()
        let listed = new Map<string, number>()
        let now = 0

        const apply = ({ added, changed, removed }: Difference, isChanged: (name: string) => boolean) => {
          assert.strictEqual(
            new Set([...added, ...changed, ...removed]).size,
            added.length + changed.length + removed.length
          )
          for (const name of added) assert.isFalse(names.has(name), `${name} was told to be there`)
          for (const name of [...changed, ...removed])
            assert.isTrue(names.has(name), `${name} was not told to be there`)
          for (const name of names) assert.strictEqual(changed.includes(name), isChanged(name), `${name} changed`)
          for (const name of added) names.add(name)
          for (const name of removed) names.delete(name)
        }
        const agree = () => {
          const { entries } = kept
          assert.deepStrictEqual(
            entries.map(({ name }) => name),
            [...names].toSorted()
          )
          for (const { fingerprint, name, removed } of entries) {
            assert.strictEqual(removed, !listed.has(name))
            assert.strictEqual(fingerprint, last.get(name)?.fingerprint)
          }
          // nothing stays longer than the grace, and nothing goes before it
          for (const [name, { at }] of last) {
            if (!listed.has(name)) assert.strictEqual(names.has(name), now - at < grace, `${name} at ${now}`)
          }
        }

        for (const step of all) {
          const before = new Map(last)
          listed = new Map(step.listed)
          const table = Table.of(step.listed.map(([name, fingerprint]) => entry(name, fingerprint)))
          const difference = kept.take(table, now, now + grace)
          for (const [name, fingerprint] of listed) last.set(name, { at: Number.POSITIVE_INFINITY, fingerprint })
          for (const [name, { at, fingerprint }] of last) {
            if (!listed.has(name) && at === Number.POSITIVE_INFINITY) last.set(name, { at: now, fingerprint })
          }
          apply(difference, (name) => listed.has(name) && before.get(name)?.fingerprint !== listed.get(name))
          agree()
          const until = now + step.wait
          for (let at = kept.nextRemoval; at !== undefined && at <= until; at = kept.nextRemoval) {
            now = at
            apply({ ...nothing, removed: kept.expire(now) }, () => false)
            agree()
          }
          now = until
        }
        const at = kept.nextRemoval
        now = Math.max(now, (at ?? now) + grace)
        apply({ ...nothing, removed: kept.expire(now) }, () => false)
        assert.deepStrictEqual([...names].toSorted(), [...listed.keys()].toSorted())
      }),
      { numRuns: 1000 }
    )
  }, 60_000)
})
