/** The errors of calls are made by a shorter way than their classes go: what comes out is the same. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { BackendError } from "../src/index.ts"
import * as Errors from "../src/internal/errors.ts"

const detail = { summary: "ECONNREFUSED on connect", output: ["a line"] }
const retryAfter = Duration.seconds(3)

const cases = [
  {
    Class: BackendError.SessionUnavailable,
    make: Errors.sessionUnavailable,
    fields: { backend: "b", state: "Disconnected", reason: "refused", detail, retryAfter }
  },
  {
    Class: BackendError.CallRejected,
    make: Errors.callRejected,
    fields: { backend: "b", state: "CircuitOpen", reason: "refused", detail: undefined, retryAfter }
  },
  {
    Class: BackendError.OutcomeUnknown,
    make: Errors.outcomeUnknown,
    fields: { backend: "b", generation: 2, reason: "reset", detail, retryAfter: undefined }
  },
  {
    Class: BackendError.CallFailed,
    make: Errors.callFailed,
    fields: { backend: "b", reason: "http_5xx", code: 503, retryAfter, cause: new TypeError("theirs") }
  },
  { Class: BackendError.SessionReplaced, make: Errors.sessionReplaced, fields: { backend: "b", generation: 2 } }
] as const

describe("an error of a call", () => {
  for (const { Class, fields, make } of cases) {
    it(`is the ${Class.identifier} that its class makes, but for the stack`, () => {
      const made: Error = Reflect.apply(make, undefined, [fields])
      const checked: Error = Reflect.construct(Class, [fields])
      assert.isTrue(made instanceof Class)
      assert.isTrue(BackendError.is(made))
      assert.deepStrictEqual(Object.getOwnPropertyNames(made), Object.getOwnPropertyNames(checked))
      assert.deepStrictEqual({ ...made }, { ...checked })
      assert.strictEqual(made.name, checked.name)
      assert.strictEqual(made.message, checked.message)
      assert.strictEqual(made.cause, checked.cause)
      assert.strictEqual(JSON.stringify(made), JSON.stringify(checked))
      assert.notInclude(made.stack, "    at ")
      assert.include(checked.stack, "    at ")
    })
  }
})
