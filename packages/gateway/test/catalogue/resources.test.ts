/** Whose a resource is, which templates it can be one of, and which tools are shown. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Filter from "../../src/internal/catalogue/filter.ts"
import { merge, Resources } from "../../src/internal/catalogue/resources.ts"
import { matches } from "../../src/internal/catalogue/templates.ts"

const uris = fc.array(fc.array(fc.constantFrom<string>("a:1", "a:2", "a:3", "b:1", "b:2"), { maxLength: 6 }), {
  maxLength: 5
})

describe("a resource that several servers list", () => {
  it("is the first's by order, once, and each other's loss is told", () => {
    fc.assert(
      fc.property(uris, (lists) => {
        const all = lists.map((list, at) => [`${at}`, [...new Set(list)].map((uri) => ({ uri }))] as const)
        const { conflicts, entries, owners } = merge(all, "uri")
        const listed = entries.map(({ uri }) => uri)
        assert.lengthOf(new Set(listed), listed.length)
        assert.sameMembers(listed, [...new Set(lists.flat())])
        for (const [uri, owner] of owners) assert.strictEqual(owner, `${lists.findIndex((list) => list.includes(uri))}`)
        assert.strictEqual(conflicts.length, all.flatMap(([, each]) => each).length - listed.length)
        for (const { hidden, shown, uri } of conflicts) {
          assert.strictEqual(owners.get(uri), shown)
          assert.isBelow(Number(shown), Number(hidden))
        }
      })
    )
  })

  it("is told of no more than a thousand times", () => {
    const many = Array.from({ length: 2000 }, (_, at) => ({ uri: `a:${at}` }))
    const lists = { resources: many }
    assert.lengthOf(
      new Resources([
        { backend: "a", lists },
        { backend: "b", lists }
      ]).conflicts,
      1000
    )
  })
})

describe("a resource that nobody lists", () => {
  it("is whose template it fits, the first by order", () => {
    const of = (...resourceTemplates: ReadonlyArray<string>) => ({
      lists: { resourceTemplates: resourceTemplates.map((uriTemplate) => ({ uriTemplate })) }
    })
    const resources = new Resources([
      { backend: "one", ...of("a://{id}", "file:///{+path}") },
      { backend: "two", ...of("a://{id}/x", "a://{id}") }
    ])
    assert.strictEqual(resources.owner("a://7"), "one")
    assert.strictEqual(resources.owner("a://7/x"), "two")
    assert.strictEqual(resources.owner("file:///etc/hosts"), "one")
    assert.strictEqual(resources.owner("a://{id}"), "one")
    assert.isUndefined(resources.owner("b://7"))
  })
})

describe("a template", () => {
  it("fits what it is expanded to", () => {
    const value = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("/", "//", "/x/", ":"), value), { minLength: 1, maxLength: 5 }),
        (parts) => {
          const template = parts.map(([literal], at) => `${literal}{v${at}}`).join("")
          const uri = parts.map(([literal, each]) => `${literal}${each}`).join("")
          assert.isTrue(matches(template, uri))
        }
      )
    )
  })

  it("fits nothing else", () => {
    assert.isFalse(matches("a://{id}", "a://1/2"))
    assert.isFalse(matches("a://{id}/x", "a://1/y"))
    assert.isFalse(matches("a://{id}x", "a://1xy"))
    assert.isFalse(matches("a://1", "a://2"))
    assert.isFalse(matches("a://{id", "a://1"))
    assert.isTrue(matches("a://{id}x", "a://1xx"))
    assert.isTrue(matches("a://{id}{?q,r}", "a://1?q=2"))
  })

  it("of a hostile server costs no more than a look at the URI for each of its parts", () => {
    const started = performance.now()
    assert.isFalse(matches("{+a}x".repeat(2000), "x".repeat(1000)))
    assert.isFalse(matches(`a${"{b}".repeat(20_000)}c`, `a${"b".repeat(1000)}`))
    assert.isBelow(performance.now() - started, 1000)
  })
})

describe("a tool", () => {
  it("is shown where it is included and not excluded", () => {
    const names = fc.uniqueArray(fc.constantFrom<string>("a", "b", "c"))
    fc.assert(
      fc.property(fc.option(names, { nil: undefined }), fc.option(names, { nil: undefined }), (include, exclude) => {
        const shows = Filter.of({ include, exclude })
        for (const name of ["a", "b", "c"]) {
          assert.strictEqual(shows(name), (include?.includes(name) ?? true) && exclude?.includes(name) !== true)
        }
      })
    )
  })
})
