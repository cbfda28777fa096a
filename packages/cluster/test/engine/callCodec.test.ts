/** A call and its answer on the way are what their schemas say. */
import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import * as CallCodec from "../../src/internal/engine/callCodec.ts"
import * as Wire from "../../src/internal/engine/wire.ts"
import { Call } from "../../src/internal/protocol.ts"

const request = Wire.codecFor(Call.payloadSchema)
const answer = Wire.codecFor(Call.successSchema)
const json = (value: unknown) => JSON.parse(JSON.stringify(value))

/** A number as they are counted in a call. */
const count = (number: number) => (Number.isSafeInteger(number) ? Math.abs(number) : 0)

/** The same without a field, and with other things in its place. */
const spoilt = (value: object) => [
  undefined,
  null,
  "text",
  [],
  ...Object.keys(value).flatMap((key) =>
    [undefined, null, 1, "text", true, {}, []].map((other) => json({ ...value, [key]: other }))
  )
]

describe("a call on its way", () => {
  it.prop("is written and read as its schema writes and reads it", [request], ([made]) => {
    const call = {
      ...made,
      label: count(made.label),
      pin: made.pin && { ...made.pin, generation: count(made.pin.generation) }
    }
    const encoded = json(CallCodec.encode(call))
    assert.deepStrictEqual(encoded, json(Schema.encodeSync(request)(call)))
    assert.deepStrictEqual(CallCodec.decode(encoded), call)
  })

  it.prop("is none where its schema says so", [request], ([call]) => {
    const read = Schema.decodeUnknownExit(request)
    for (const other of spoilt(json(CallCodec.encode(call)))) {
      const exit = read(other)
      assert.deepStrictEqual(CallCodec.decode(other), Exit.isSuccess(exit) ? exit.value : undefined)
    }
  })

  it.prop("has an answer that is one where its schema says so", [answer], ([made]) => {
    const given = { ...made, told: count(made.told) }
    assert.deepStrictEqual(json(given), json(Schema.encodeSync(answer)(given)))
    assert.isTrue(CallCodec.isAnswer(json(given)))
    const read = Schema.decodeUnknownExit(answer)
    for (const other of spoilt(json(given))) assert.strictEqual(CallCodec.isAnswer(other), Exit.isSuccess(read(other)))
  })
})
