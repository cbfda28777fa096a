import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { checker } from "../src/internal/check.ts"
import { Findings } from "../src/internal/findings.ts"

describe("checking an object", () => {
  it("ends, and takes nothing, where a rule of the whole is broken that names no field", () => {
    const few = Schema.makeFilter((value: object) => (Object.keys(value).length < 2 ? undefined : "one field at most"))
    const schema = Schema.Struct({ a: Schema.optional(Schema.Number), b: Schema.optional(Schema.Number) })
    const findings = new Findings()
    const taken = checker(schema.pipe(Schema.check(few)))({ a: 1, b: 2 }, ["servers", "x"], findings)
    assert.deepStrictEqual(taken, {})
    assert.strictEqual(findings.count, 1)
  })
})
