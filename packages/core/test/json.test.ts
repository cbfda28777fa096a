/** What is told can leave the process as JSON and comes back the same; what others wrote does not leave it. */
import { assert, describe, it } from "@effect/vitest"
import { inspect } from "node:util"
import { Arbitrary, Duration, Effect, Option, Schema } from "effect"
import * as fc from "fast-check"
import { BackendError, ConnectionState, FailureDetail, FailureReason, KeepaliveEvent } from "../src/index.ts"
import { timed } from "../src/internal/timed.ts"

/** In words that can be compared: durations by their milliseconds; JSON knows no negative zero. */
const plain = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return { milliseconds: Duration.toMillis(value) + 0 }
  if (typeof value === "number") return value + 0
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
}

/** What is known of an error where it is read: a detail without output, and of a cause the name of its class. */
const known = (error: BackendError.BackendError): unknown => {
  const { cause, ...fields } = { cause: undefined, detail: undefined, ...error }
  return plain({
    ...fields,
    detail: fields.detail && { summary: fields.detail.summary },
    cause: error._tag === "CallFailed" ? nameOf(error.cause) : cause
  })
}
const nameOf = (cause: unknown) => (cause instanceof Error ? cause.name : "unknown")

const throughText = (codec: Schema.ConstraintCodec<unknown, Schema.Json>, value: unknown) => {
  const text = JSON.stringify(Schema.encodeUnknownSync(codec)(value))
  const decoded = Schema.decodeUnknownSync(codec)(JSON.parse(text))
  assert.strictEqual(JSON.stringify(Schema.encodeUnknownSync(codec)(decoded)), text)
  return { decoded, text }
}

const forAll = <S extends Schema.Constraint>(schema: S, holds: (value: S["Type"]) => void) =>
  Effect.gen(function* () {
    const result = yield* Arbitrary.checkEffect(
      Arbitrary.schema(schema),
      (value) => {
        holds(value)
        return true
      },
      { runs: 200 }
    )
    assert.strictEqual(Arbitrary.formatCheckFailure(result), undefined)
  })

describe("as JSON, and back from its text, the same:", () => {
  for (const [tag, state] of Object.entries(ConnectionState.ConnectionState.cases)) {
    it.effect(`the state ${tag}`, () =>
      forAll(state, (value) => {
        assert.isTrue(ConnectionState.is(value))
        const { decoded } = throughText(ConnectionState.Json, value)
        assert.deepStrictEqual(plain(decoded), plain(value))
      })
    )
  }

  for (const [tag, event] of Object.entries(KeepaliveEvent.KeepaliveEvent.cases)) {
    it.effect(`the event ${tag}`, () =>
      forAll(event, (value) => {
        assert.isTrue(KeepaliveEvent.is(value))
        const { decoded } = throughText(KeepaliveEvent.Json, value)
        assert.deepStrictEqual(plain(decoded), plain(value))
      })
    )
  }

  it("every reason", () => {
    for (const reason of FailureReason.all) {
      assert.isTrue(FailureReason.is(reason))
      assert.deepStrictEqual(throughText(FailureReason.Json, reason), { decoded: reason, text: `"${reason}"` })
    }
  })

  it.effect("a detail, but for what others wrote", () =>
    forAll(FailureDetail.FailureDetail, (value) => {
      assert.isTrue(FailureDetail.is(value))
      const { decoded } = throughText(FailureDetail.Json, value)
      assert.deepStrictEqual(decoded, { ...value, output: [] })
    })
  )

  for (const [tag, error] of Object.entries(BackendError.BackendError.cases)) {
    it.effect(`the error ${tag}, but for what others wrote`, () =>
      forAll(error, (value) => {
        assert.isTrue(BackendError.is(value))
        const { decoded, text } = throughText(BackendError.Json, value)
        assert(BackendError.is(decoded))
        assert.deepStrictEqual(known(decoded), known(value))
        assert.strictEqual(decoded.message, value.message)
        assert.strictEqual(JSON.stringify(value), text)
      })
    )
  }
})

describe("a duration as a number of milliseconds", () => {
  const { AttemptScheduled } = KeepaliveEvent.KeepaliveEvent.cases
  const delayed = (delay: Duration.Duration) => AttemptScheduled.make({ backend: "a", at: 0, delay })
  const back = (delay: Duration.Duration) => {
    const { decoded } = throughText(KeepaliveEvent.Json, delayed(delay))
    assert(KeepaliveEvent.is(decoded) && decoded._tag === "AttemptScheduled")
    return decoded.delay
  }

  it("keeps every nanosecond for three months", () => {
    const threeMonths = 8n * 10n ** 15n
    // the first was found by chance: the product of its milliseconds with a million is another's
    const found = [4_391_122_429_350_041n, 1n, 999_999n, 1_000_001n, threeMonths - 1n]
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: threeMonths }), (nanos) => {
        assert.deepStrictEqual(Duration.toNanos(back(Duration.nanos(nanos))), Option.some(nanos))
      }),
      { numRuns: 1000, examples: found.map((nanos) => [nanos]) }
    )
  })

  it("comes back as the same number, however long it is", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 21n }), (nanos) => {
        throughText(KeepaliveEvent.Json, delayed(Duration.nanos(nanos)))
      }),
      { numRuns: 1000 }
    )
    assert.isTrue(Duration.equals(back(Duration.infinity), Duration.infinity))
    assert.isTrue(Duration.equals(back(Duration.zero), Duration.zero))
  })
})

describe("what others wrote", () => {
  const secret = "sk-live-5f3a"
  class Refusal extends Error {
    override readonly name = `Refusal of ${secret}`
    readonly token = secret
  }
  const detail: FailureDetail.FailureDetail = { summary: "exit code 1", output: [`token=${secret}`] }
  const failed = (cause: unknown) =>
    new BackendError.CallFailed({ backend: "a", reason: undefined, code: -32000, retryAfter: undefined, cause })
  const known = { backend: "a", reason: "process_exit", detail, retryAfter: Duration.seconds(1.5) } as const

  const errors: ReadonlyArray<readonly [what: string, error: BackendError.BackendError, text: string]> = [
    [
      "what the client threw",
      failed(new Refusal(secret, { cause: new Error(secret) })),
      '{"_tag":"CallFailed","backend":"a","reason":null,"code":-32000,"retryAfter":null,"cause":{"name":"Refusal"}}'
    ],
    [
      "what the client threw, which is no error",
      failed({ message: secret, name: secret, constructor: { name: secret } }),
      '{"_tag":"CallFailed","backend":"a","reason":null,"code":-32000,"retryAfter":null,"cause":{"name":"unknown"}}'
    ],
    [
      "the output of a server, in SessionUnavailable",
      new BackendError.SessionUnavailable({ ...known, state: "Disconnected" }),
      '{"_tag":"SessionUnavailable","backend":"a","state":"Disconnected","reason":"process_exit","detail":{"summary":"exit code 1"},"retryAfter":1500}'
    ],
    [
      "the output of a server, in CallRejected",
      new BackendError.CallRejected({ ...known, state: "CircuitOpen" }),
      '{"_tag":"CallRejected","backend":"a","state":"CircuitOpen","reason":"process_exit","detail":{"summary":"exit code 1"},"retryAfter":1500}'
    ],
    [
      "the output of a server, in OutcomeUnknown",
      new BackendError.OutcomeUnknown({ ...known, generation: 3 }),
      '{"_tag":"OutcomeUnknown","backend":"a","generation":3,"reason":"process_exit","detail":{"summary":"exit code 1"},"retryAfter":1500}'
    ]
  ]

  it.each(errors.map(([what, error, text]) => ({ what, error, text })))("is in no JSON: $what", ({ error, text }) => {
    assert.strictEqual(JSON.stringify(error), text)
    assert.strictEqual(throughText(BackendError.Json, error).text, text)
    assert.strictEqual(JSON.stringify({ nested: [error] }), `{"nested":[${text}]}`)
  })

  it.each(errors.map(([what, error]) => ({ what, error })))(
    "is shown to whoever looks on a console: $what",
    ({ error }) => {
      assert.include(inspect(error, { depth: 5 }), secret)
    }
  )

  it("is not told where it is read: a cause says that it is elsewhere", () => {
    const { decoded } = throughText(BackendError.Json, failed(new Refusal(secret)))
    assert(BackendError.is(decoded) && decoded._tag === "CallFailed")
    assert.instanceOf(decoded.cause, BackendError.ThrownElsewhere)
    assert.strictEqual(String(decoded.cause), "Refusal: what was thrown is known only where it was thrown")
  })
})

describe("the guards", () => {
  it("know what is none of theirs", () => {
    const at = { backend: "a", at: 0 }
    const foreign: ReadonlyArray<unknown> = [
      undefined,
      null,
      "Idle",
      {},
      [],
      { _tag: "Idle" },
      { _tag: "Asleep", since: 0 }
    ]
    for (const value of foreign) {
      for (const is of [ConnectionState.is, KeepaliveEvent.is, BackendError.is, FailureReason.is, FailureDetail.is]) {
        assert.isFalse(is(value))
      }
    }
    assert.isFalse(ConnectionState.is({ _tag: "Disconnected", since: 0, attempt: 1, reason: "refused" }))
    assert.isFalse(KeepaliveEvent.is({ ...at, _tag: "ProbeFailed", method: "ping", reason: "moon", detail: undefined }))
    assert.isFalse(KeepaliveEvent.is({ ...at, _tag: "AttemptScheduled", delay: Duration.millis(-1) }))
    assert.isFalse(BackendError.is({ _tag: "SessionReplaced", backend: "a", generation: 1 }))
  })

  it("know what is theirs, one by one", () => {
    const { guards } = ConnectionState.ConnectionState
    const idle = { _tag: "Idle", since: 0 }
    assert.isTrue(guards.Idle(idle))
    assert.isFalse(guards.Closed(idle))
  })
})

describe("a state without its times", () => {
  it.effect("has everything else, and is itself again with them", () =>
    forAll(ConnectionState.ConnectionState, (state) => {
      const alone = ConnectionState.untimed(state)
      assert.doesNotHaveAnyKeys(alone, ["since", "nextAttemptAt"])
      const due = "nextAttemptAt" in state ? state.nextAttemptAt : undefined
      assert.deepStrictEqual(timed(alone, state.since, due), state)
    })
  )
})
