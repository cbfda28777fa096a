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
})
