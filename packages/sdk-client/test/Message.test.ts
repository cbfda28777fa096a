/** JSON-RPC messages: what is one, and what one may cost. */
import { describe, expect, it } from "@effect/vitest"
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js"
import * as fc from "fast-check"
import { Message } from "../src/index.ts"

// ------------------------------------------------------------------------------------------------------- arbitraries

const anyId = fc.oneof(fc.string(), fc.maxSafeInteger())

const anyFields = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }))

const anyMeta = fc.record(
  {
    progressToken: anyId,
    "io.modelcontextprotocol/related-task": fc.record({ taskId: fc.string() }),
    own: fc.jsonValue()
  },
  { requiredKeys: [] }
)

const anyParams = fc
  .tuple(anyFields, fc.option(anyMeta, { nil: undefined }))
  .map(([fields, _meta]) => (_meta === undefined ? fields : { ...fields, _meta }))

const jsonrpc = fc.constant("2.0")

/** Messages as the specification has them. */
const anyMessage = fc.oneof(
  fc.record(
    { jsonrpc, id: anyId, method: fc.string(), params: anyParams },
    { requiredKeys: ["jsonrpc", "id", "method"] }
  ),
  fc.record({ jsonrpc, method: fc.string(), params: anyParams }, { requiredKeys: ["jsonrpc", "method"] }),
  fc.record({ jsonrpc, id: anyId, result: anyParams }),
  fc.record(
    {
      jsonrpc,
      id: anyId,
      error: fc.record(
        { code: fc.maxSafeInteger(), message: fc.string(), data: fc.jsonValue() },
        { requiredKeys: ["code", "message"] }
      )
    },
    { requiredKeys: ["jsonrpc", "error"] }
  )
)

/** What is out of place almost anywhere. */
const anyOddity = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    "2.0",
    "",
    0,
    -1,
    1.5,
    2 ** 53,
    -1e300,
    [],
    {},
    [{}],
    { _meta: 7 },
    { _meta: [] }
  ),
  fc.constantFrom<unknown>(
    { _meta: null },
    { _meta: { progressToken: 1.5 } },
    { _meta: { progressToken: 2 ** 60 } },
    { _meta: { "io.modelcontextprotocol/related-task": {} } },
    { _meta: { "io.modelcontextprotocol/related-task": { taskId: "t", more: 1 } } },
    { code: 1, message: "m" },
    { code: 1.5, message: "m" },
    { code: 2 ** 60, message: "m" },
    { code: 1, message: 2 },
    { code: 1, message: "m", more: true }
  ),
  anyParams,
  anyId
)

/** Values that are nearly messages, as JSON has them. */
const anyValue = fc.oneof(
  anyMessage,
  fc
    .tuple(anyMessage, fc.constantFrom("jsonrpc", "id", "method", "params", "result", "error", "more"), anyOddity)
    .map(([message, name, value]): unknown => ({ ...message, [name]: value })),
  fc.record(
    {
      jsonrpc: fc.oneof({ weight: 9, arbitrary: jsonrpc }, { weight: 1, arbitrary: anyOddity }),
      id: anyOddity,
      method: anyOddity,
      params: anyOddity,
      result: anyOddity,
      error: anyOddity,
      more: anyOddity
    },
    { requiredKeys: [] }
  ),
  fc.jsonValue()
)

/** What the other end makes of it. */
const overWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const runs = { numRuns: 1000 }
/** A machine that others use as well is slow at times. */
const patient = { timeout: 60_000 }

// --------------------------------------------------------------------------------------------------------------- form

describe("a message", () => {
  it("is whatever the SDK's schema accepts, with the same meaning", patient, () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const parsed = JSONRPCMessageSchema.safeParse(overWire(value))
        if (!parsed.success) return
        const message = Message.of(overWire(value))
        expect(message).toBeDefined()
        // the schema leaves out what it does not know of an error and of a task
        expect(JSONRPCMessageSchema.parse(message)).toEqual(parsed.data)
      }),
      runs
    )
  })

  it("is what the specification says, and stays as it is", patient, () => {
    fc.assert(
      fc.property(anyMessage, (value) => {
        expect(JSONRPCMessageSchema.safeParse(overWire(value)).success).toBe(true)
        expect(Message.of(overWire(value))).toEqual(overWire(value))
      }),
      runs
    )
  })

  it("is nothing that the SDK's schema refuses", patient, () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const message = Message.of(overWire(value))
        expect(message === undefined || JSONRPCMessageSchema.safeParse(message).success).toBe(true)
      }),
      runs
    )
  })

  it("has no fields that clients do not know: they refuse it for one", patient, () => {
    fc.assert(
      fc.property(anyMessage, fc.string(), fc.jsonValue(), (value, name, more) => {
        fc.pre(!["jsonrpc", "id", "method", "params", "result", "error", "__proto__"].includes(name))
        const extended = { ...value, [name]: more }
        expect(JSONRPCMessageSchema.safeParse(overWire(extended)).success).toBe(false)
        expect(Message.of(overWire(extended))).toEqual(overWire(value))
      })
    )
  })

  it("has an id that comes back as it was sent, or none", () => {
    for (const id of [2 ** 53, 1.5, null, true, {}, []])
      expect([id, Message.of({ jsonrpc: "2.0", id, method: "ping" })]).toEqual([id, undefined])
    for (const id of [0, -1, Number.MAX_SAFE_INTEGER, "", "a"])
      expect(Message.of({ jsonrpc: "2.0", id, method: "ping" })).toEqual({ jsonrpc: "2.0", id, method: "ping" })
  })
})

describe("JSON text", () => {
  it("that is none has no value, and never throws", () => {
    expect(Message.parse("{")).toBeUndefined()
    expect(Message.parse("[1]")).toEqual([1])
  })
})

describe("the request that a notification is about", () => {
  it("is the one that it cancels, by number or by string", () => {
    const cancels = (params: Message.Params) =>
      Message.cancelled({ jsonrpc: "2.0", method: "notifications/cancelled", params })
    expect(cancels({ requestId: 7 })).toBe(7)
    expect(cancels({ requestId: "a" })).toBe("a")
    expect(cancels({ requestId: 1.5 })).toBeUndefined()
    expect(cancels({})).toBeUndefined()
    expect(Message.cancelled({ jsonrpc: "2.0", method: "ping", params: { requestId: 7 } })).toBeUndefined()
    expect(Message.cancelled({ jsonrpc: "2.0", id: 7, result: { requestId: 7 } })).toBeUndefined()
  })

  it("is the one whose progress it tells", () => {
    const params = { progressToken: "t" }
    expect(Message.progressOf({ jsonrpc: "2.0", method: "notifications/progress", params })).toBe("t")
    expect(Message.progressOf({ jsonrpc: "2.0", method: "notifications/message", params })).toBeUndefined()
    expect(Message.progressOf({ jsonrpc: "2.0", id: 7, result: params })).toBeUndefined()
  })
})

// ------------------------------------------------------------------------------------------------------------- bounds

const counted = 256 * 1024 + 1

/** JSON text that is long enough to be counted. */
const padded = (json: string) => Buffer.from(" ".repeat(Math.max(0, counted - json.length)) + json)

const unbounded = Number.MAX_SAFE_INTEGER

const members = (value: unknown): number => {
  if (typeof value !== "object" || value === null) return 0
  const own = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce<number>((sum, one) => sum + members(one), own)
}

const containers = (value: unknown): number =>
  typeof value === "object" && value !== null
    ? Object.values(value).reduce<number>((sum, one) => sum + containers(one), 1)
    : 0

/** Values whose strings, keys included, are made of what JSON gives a meaning, and of letters of several bytes. */
const anyTricky = fc.jsonValue({ stringUnit: fc.constantFrom(...'{}[]"\\:,/u5b \né😀') })

describe("the objects and arrays of a message", () => {
  it("are counted as a parser would", patient, () => {
    fc.assert(
      fc.property(anyTricky, fc.constantFrom(undefined, 2), (value, indent) => {
        const json = padded(JSON.stringify(value, undefined, indent))
        const count = containers(value)
        expect(Message.excess(json, { containers: count, members: unbounded })).toBeUndefined()
        expect(Message.excess(json, { containers: count - 1, members: unbounded })).toBe(
          count > 0 ? "more objects and arrays than limits.containers" : undefined
        )
        const named = members(value)
        expect(Message.excess(json, { containers: unbounded, members: named })).toBeUndefined()
        expect(Message.excess(json, { containers: unbounded, members: named - 1 })).toBe(
          named > 0 ? "more members of objects than limits.members" : undefined
        )
      }),
      { numRuns: 150 }
    )
  })

  it("are not counted where there cannot be too many", () => {
    const short = Buffer.from(`[${"[],".repeat(80_000)}[]]`)
    expect(short.length).toBeLessThan(counted)
    expect(Message.excess(short, { containers: 1000, members: unbounded })).toBeUndefined()
    expect(Message.excess(padded(short.toString()), { containers: 1000, members: unbounded })).toBeDefined()
  })

  it("are counted in text that is no JSON, too, up to where a string does not end", () => {
    expect(Message.excess(padded("]]]][[["), { containers: 2, members: unbounded })).toBeDefined()
    expect(Message.excess(padded('"[[['), { containers: 2, members: unbounded })).toBeUndefined()
    expect(Message.excess(padded('"\\"[[['), { containers: 2, members: unbounded })).toBeUndefined()
    expect(Message.excess(padded('"\\\\"[[['), { containers: 2, members: unbounded })).toBeDefined()
  })

  const mebibyte = 1024 * 1024
  const hostile: Record<string, (length: number) => string> = {
    "one string of backslashes": (length) => `"${"\\".repeat(length)}`,
    "backslashes before a quote at the end": (length) => `"${"\\".repeat(length)}"`,
    "escaped quotes": (length) => `"${'\\"'.repeat(length / 2)}"`,
    "long runs of backslashes, each before a quote": (length) => `"${`${"\\".repeat(1023)}"`.repeat(length / 1024)}`,
    "quotes only": (length) => '"'.repeat(length),
    "containers that do not end": (length) => "[".repeat(length)
  }

  for (const [name, make] of Object.entries(hostile))
    it(`are counted in linear time: ${name}`, patient, () => {
      const time = (length: number) => {
        const json = Buffer.from(make(length))
        const times = Array.from({ length: 5 }, () => {
          const began = process.cpuUsage()
          Message.excess(json, { containers: Number.MAX_SAFE_INTEGER, members: unbounded })
          const { system, user } = process.cpuUsage(began)
          return (system + user) / 1000
        })
        return Math.min(...times)
      }
      time(mebibyte)
      const [small, large] = [time(mebibyte), time(8 * mebibyte)]
      console.log(`measured: ${name}: ${small.toFixed(1)} ms for 1 MiB, ${large.toFixed(1)} ms for 8`)
      // 8 where it is linear, 64 where it is the square; a millisecond for what is too short to be measured
      expect(large / (small + 1)).toBeLessThan(20)
    })
})
