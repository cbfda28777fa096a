/** What checking a tool's result may cost. */
import { describe, expect, it } from "@effect/vitest"
import { JsonSchema } from "../src/index.ts"

type Schema = Parameters<ReturnType<typeof JsonSchema.validator>["getValidator"]>[0]

const check = (schema: Schema, value: unknown) => JsonSchema.validator().getValidator(schema)(value)

/** The milliseconds that this process was blocked for, of its own time. */
const timed = <A>(run: () => A): readonly [A, number] => {
  const began = process.cpuUsage()
  const result = run()
  const { system, user } = process.cpuUsage(began)
  return [result, (system + user) / 1000]
}

const tookTooLong = { valid: false, data: undefined, errorMessage: "checking it took longer than 500 ms" }

describe("a schema of a server's", () => {
  it("decides whether a value is right", () => {
    const schema: Schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
    expect(check(schema, { n: 1 })).toMatchObject({ valid: true, data: { n: 1 } })
    expect(check(schema, { n: "1" })).toMatchObject({ valid: false, errorMessage: expect.stringContaining("integer") })
    expect(check(schema, {})).toMatchObject({ valid: false })
  })

  it("that is none lets nothing pass, and does not throw", () => {
    const wrong = { type: "no such type" } as unknown
    expect(check(wrong as Schema, {})).toEqual({
      valid: false,
      data: undefined,
      errorMessage: "the schema is not valid"
    })
    expect(check({ $ref: "#/nowhere" }, {})).toMatchObject({ valid: false })
    expect(check({ type: "string", pattern: "(" }, "(")).toMatchObject({ valid: false })
  })

  it("with a pattern that never ends is given up", () => {
    const validate = JsonSchema.validator().getValidator({ type: "string", pattern: "^(a|a)*$" })
    const [result, blocked] = timed(() => validate(`${"a".repeat(60)}!`))
    expect(result).toEqual(tookTooLong)
    expect(blocked).toBeLessThan(1500)
    // and is of use for other values
    expect(validate("aaa")).toMatchObject({ valid: true })
    expect(validate("b")).toMatchObject({ valid: false, errorMessage: expect.stringContaining("pattern") })
  })

  it("that compares each with each is given up", () => {
    const items = Array.from({ length: 50_000 }, (_, index) => ({ index }))
    const [result, blocked] = timed(() => check({ type: "array", uniqueItems: true }, items))
    expect(result).toEqual(tookTooLong)
    expect(blocked).toBeLessThan(1500)
    expect(check({ type: "array", uniqueItems: true }, items.slice(0, 100))).toMatchObject({ valid: true })
  })

  it("that takes long to compile is given up, too", () => {
    const properties = Object.fromEntries(
      Array.from({ length: 100_000 }, (_, index) => [`p${index}`, { type: "string", minLength: index }])
    )
    const [result, blocked] = timed(() => check({ type: "object", properties }, {}))
    expect(result).toMatchObject({ valid: false })
    expect(blocked).toBeLessThan(2500)
  })

  it("is not even looked at before it is needed, and compiled once", () => {
    let looks = 0
    const schema = new Proxy<Schema>(
      { type: "string" },
      {
        get: (target, key) => {
          looks++
          return Reflect.get(target, key)
        },
        ownKeys: (target) => {
          looks++
          return Reflect.ownKeys(target)
        }
      }
    )
    const validate = JsonSchema.validator().getValidator(schema)
    expect(looks).toBe(0)
    expect(validate("a")).toMatchObject({ valid: true })
    const once = looks
    expect(once).toBeGreaterThan(0)
    expect(validate(7)).toMatchObject({ valid: false })
    expect(looks).toBe(once)
  })

  it("is not found by the client of another server, whatever it calls itself", () => {
    const $id = "https://example.com/schema"
    const [one, other, third] = [JsonSchema.validator(), JsonSchema.validator(), JsonSchema.validator()]
    const text = one.getValidator({ $id, type: "string" })
    const number = other.getValidator({ $id, type: "number" })
    expect(text("a")).toMatchObject({ valid: true })
    expect(number(7)).toMatchObject({ valid: true })
    expect(number("a")).toMatchObject({ valid: false })
    expect(third.getValidator({ $ref: $id })("a")).toMatchObject({ valid: false })
  })
})
