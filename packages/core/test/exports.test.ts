import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as PublicExports from "@vmcp-keepalive/testkit/PublicExports"
import { assert, describe, it } from "vitest"

const folder = fileURLToPath(new URL("..", import.meta.url))

describe("what this package exports", () => {
  it("is what exports.txt pins", () => {
    assert.deepStrictEqual(PublicExports.changes(folder), [], PublicExports.advice)
  })

  it("says since which version it is there", () => {
    assert.deepStrictEqual(PublicExports.withoutSince(folder), [])
  })

  it("accepts undefined for every optional field, as if it were left out", () => {
    assert.deepStrictEqual(PublicExports.strictFields(folder), [])
  })

  it("names nothing of the engine in front: only its own entry does", () => {
    const inFront = PublicExports.read(folder).flatMap(({ specifier }) => {
      const name = /^@vmcp-keepalive\/core\/([A-Z]\w+)$/.exec(specifier)?.[1]
      return name === undefined ? [] : [name]
    })
    assert.include(inFront, "Backend")
    const naming = inFront.filter((name) => /["/]engine\//.test(readFileSync(`${folder}dist/${name}.d.ts`, "utf8")))
    assert.deepStrictEqual(naming, [])
  })
})
