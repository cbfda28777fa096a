/** A fingerprint stands for a definition. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Lists } from "../src/index.ts"

const { fingerprint } = Lists

/** The same JSON with the fields of every object in another order. */
const reversed = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(reversed)
  if (typeof json !== "object" || json === null) return json
  return Object.fromEntries(
    Object.entries(json)
      .toReversed()
      .map(([name, value]) => [name, reversed(value)])
  )
}

const nested = (depth: number, inmost: unknown): unknown => {
  let json = inmost
  for (let level = 0; level < depth; level++) json = level % 2 === 0 ? [json] : { items: json }
  return json
}

describe("a fingerprint", () => {
  it("is the same whatever the order of fields is, and a whole number of 53 bits", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const found = fingerprint(json)
        assert.isTrue(Number.isSafeInteger(found) && found >= 0)
        assert.strictEqual(fingerprint(reversed(json)), found)
        assert.strictEqual(fingerprint(JSON.parse(JSON.stringify(json))), found)
      }),
      { numRuns: 2000 }
    )
  })

  it("differs where the JSON does", () => {
    const told = new Map<number, string>()
    /** JSON with its fields in one order, to be compared as text; -0 is written as 0 */
    const text = (json: unknown): string =>
      JSON.stringify(json, (_, value: unknown) =>
        typeof value === "object" && value !== null && !Array.isArray(value)
          ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
          : value
      )
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (json) => {
        const found = fingerprint(json)
        assert.strictEqual(told.get(found) ?? text(json), text(json))
        told.set(found, text(json))
      }),
      { numRuns: 5000 }
    )
    assert.isAbove(told.size, 1000)
  })

  const different: ReadonlyArray<readonly [one: unknown, other: unknown]> = [
    [null, {}],
    [{}, []],
    ["", []],
    ["1", 1],
    ["true", true],
    [false, null],
    ["ab", "ba"],
    [["ab"], ["a", "b"]],
    [
      [1, 2],
      [2, 1]
    ],
    [[], [[]]],
    [
      { a: 1, b: 2 },
      { a: 2, b: 1 }
    ],
    [{ a: { b: 1 } }, { a: {}, b: 1 }],
    [{ a: "b" }, { b: "a" }],
    [{ a: null }, {}],
    [{ a: 1 }, { a: 1, b: 1 }],
    ["é", "e\u0301"],
    ["\ud83d\ude00", "\ud83d\ude01"],
    [0.1, 0.2]
  ]

  it.each(different)("tells %j from %j", (one, other) => {
    assert.notStrictEqual(fingerprint(one), fingerprint(other))
  })

  it("of a hundred thousand tools that differ in one character is never the same", () => {
    const found = new Set<number>()
    for (let index = 0; index < 100_000; index++) {
      found.add(fingerprint({ name: "tool", description: `number ${index}`, inputSchema: { type: "object" } }))
    }
    assert.strictEqual(found.size, 100_000)
  })

  it("uses all of its bits: each is set in about half of a thousand fingerprints", () => {
    const set = Array.from({ length: 53 }, () => 0)
    for (let index = 0; index < 1000; index++) {
      const bits = fingerprint({ name: `tool ${index}` })
        .toString(2)
        .padStart(53, "0")
      for (const [place, bit] of [...bits].entries()) set[place] = (set[place] ?? 0) + Number(bit)
    }
    for (const [place, times] of set.entries()) {
      assert.isTrue(times > 400 && times < 600, `bit ${place} was set ${times} times`)
    }
  })

  it("sees 128 levels, and survives what is nested as deeply as a message may be", () => {
    assert.notStrictEqual(fingerprint(nested(127, "a")), fingerprint(nested(127, "b")))
    assert.strictEqual(fingerprint(nested(500_000, "a")), fingerprint(nested(500_000, "b")))
  })

  it("does not see a field that JSON would not have", () => {
    assert.strictEqual(fingerprint({ a: 1, b: undefined }), fingerprint({ a: 1 }))
  })
})
