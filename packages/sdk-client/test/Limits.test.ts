/** What users may ask of the bounds, and what holds then. */
import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { Limits } from "../src/index.ts"

const issues = (options: { readonly [name: string]: unknown }) => Limits.issues(options, Limits.ranges)

const names = Object.keys(Limits.ranges).filter((name) => name !== "answerTimeout")

describe("limits", () => {
  it("are right by default, and each has a range", () => {
    expect(issues({ ...Limits.defaults })).toEqual([])
    expect(Object.keys(Limits.ranges).toSorted()).toEqual(Object.keys(Limits.defaults).toSorted())
  })

  it("may be anything from the least to the most, both included", () => {
    for (const name of names) {
      const [least, most] = Limits.ranges[name as keyof Limits.Limits]
      for (const value of [least, most]) expect([name, issues({ [name]: value })]).toEqual([name, []])
      const path = ["connector", "limits", name]
      for (const value of [
        least - 1,
        most + 1,
        least + 0.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        `${least}`,
        null,
        {}
      ])
        expect(issues({ [name]: value })).toEqual([{ path, expected: `a whole number from ${least} to ${most}` }])
    }
  })

  it("take a time as Effect does", () => {
    for (const answerTimeout of [100, "100 millis", "10 minutes", Duration.seconds(1)])
      expect(issues({ answerTimeout })).toEqual([])
    const wrong = [99, "99 millis", "11 minutes", "infinity", -1, Number.NaN, "soon", null, {}, Duration.infinity]
    for (const answerTimeout of wrong)
      expect([answerTimeout, issues({ answerTimeout })]).toEqual([
        answerTimeout,
        [{ path: ["connector", "limits", "answerTimeout"], expected: "a duration from 100 ms to 600 s" }]
      ])
  })

  it("that nobody knows are told, with those that are known", () => {
    const known = { entries: [1, 2] } as const
    for (const name of ["messageBytes", "toString", "__proto__"])
      expect(Limits.issues(Object.fromEntries([[name, 1]]), known)).toEqual([
        { path: ["connector", "limits", name], expected: "one of entries" }
      ])
  })

  it("are all told of at once, and never with what was given", () => {
    const found = issues({ entries: "s3cret", pages: 0, answerTimeout: "s3cret" })
    expect(found.map(({ path }) => path[2])).toEqual(["entries", "pages", "answerTimeout"])
    expect(JSON.stringify(found)).not.toContain("s3cret")
  })

  it("that are left out have their defaults, `undefined` included", () => {
    expect(Limits.resolve({}, Limits.defaults)).toEqual(Limits.defaults)
    const all = { ...Limits.defaults, connections: 64 }
    expect(Limits.resolve({ entries: 7, connections: 2, answerTimeout: "1 second" }, all)).toEqual({
      ...all,
      entries: 7,
      connections: 2,
      answerTimeout: Duration.seconds(1)
    })
    // as it comes from configuration without types
    const options: Limits.Options = Object.fromEntries([
      ["entries", undefined],
      ["answerTimeout", undefined]
    ])
    expect(Limits.resolve(options, Limits.defaults)).toEqual(Limits.defaults)
  })
})
