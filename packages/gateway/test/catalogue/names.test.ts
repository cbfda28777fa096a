/** Names of tools and prompts: which they are, and that each means one thing. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Names, shownAs } from "../../src/internal/catalogue/names.ts"

const valid = /^[A-Za-z0-9_-]{1,64}$/

/** Made of few pieces, so that ids and names that look the same when they are joined are frequent. */
const pieces = fc.array(fc.constantFrom("a", "b", "_", "__", "-", ".", "é", "x".repeat(40)), { maxLength: 5 })
const word = pieces.map((each) => each.join(""))
const targets = fc.array(fc.record({ backend: word.filter((id) => id !== ""), name: word }), { maxLength: 40 })

describe("the name of a tool", () => {
  it("is its backend's id and its own where that can be a name, and else ends in a hash", () => {
    assert.strictEqual(shownAs({ backend: "git", name: "log" }), "git__log")
    assert.strictEqual(shownAs({ backend: "git_hub-1", name: "a__b" }), "git_hub-1__a__b")
    for (const [backend, name] of [
      ["git", "x".repeat(64)],
      ["git hub", "log"],
      ["git", "log.all"],
      ["a__b", "c"],
      ["a_", "b"]
    ] as const) {
      assert.match(shownAs({ backend, name }), /^[A-Za-z0-9_-]{1,53}_[0-9a-f]{10}$/)
    }
    assert.strictEqual(shownAs({ backend: "git", name: "x".repeat(64) }).length, 64)
  })

  it("is one that the APIs of models take, and of one target alone", () => {
    fc.assert(
      fc.property(targets, (all) => {
        const names = new Names()
        const shown = new Map(all.map((target) => [names.shown(target.backend, target.name), target]))
        for (const target of all) {
          const name = names.shown(target.backend, target.name)
          assert.match(name, valid)
          assert.deepStrictEqual(names.target(name), target)
          assert.deepStrictEqual(shown.get(name), target)
        }
      })
    )
  })

  it("does not depend on what else there is, but where one is taken", () => {
    fc.assert(
      fc.property(targets, (all) => {
        const names = new Names()
        for (const { backend, name } of all) assert.strictEqual(names.shown(backend, name), shownAs({ backend, name }))
      })
    )
  })

  it("that a server has taken by another's hash leads to the other's having a further one", () => {
    const names = new Names()
    const long = { backend: "a", name: "x".repeat(80) }
    const taken = shownAs(long)
    // a server that lists, as a tool of its own, what another's is shown as
    assert.strictEqual(names.shown("a", taken.slice("a__".length)), taken)
    assert.strictEqual(names.shown(long.backend, long.name), shownAs(long, 1))
    assert.deepStrictEqual(names.target(shownAs(long, 1)), long)
  })

  it("means nothing any more when its backend is gone, and others mean what they did", () => {
    const names = new Names()
    names.shown("a", "1")
    names.shown("b", "1")
    names.forget("a")
    assert.isUndefined(names.target("a__1"))
    assert.deepStrictEqual(names.target("b__1"), { backend: "b", name: "1" })
  })

  it("is remembered of a bounded number for each backend", () => {
    const names = new Names()
    names.shown("other", "1")
    for (let at = 0; at <= 20_000; at++) names.shown("a", `${at}`)
    assert.isUndefined(names.target("a__0"))
    assert.deepStrictEqual(names.target("a__20000"), { backend: "a", name: "20000" })
    assert.deepStrictEqual(names.target("other__1"), { backend: "other", name: "1" })
  })

  it("is the server's own while its backend is there alone", () => {
    const names = new Names()
    names.alone = "a"
    assert.strictEqual(names.shown("a", "any name"), "any name")
    assert.deepStrictEqual(names.target("other"), { backend: "a", name: "other" })
    names.alone = undefined
    assert.isUndefined(names.target("any name"))
  })
})
