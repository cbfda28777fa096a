/** Messages on a connection, however the network cuts them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RpcSerialization } from "effect/rpc"
import * as Frames from "../../src/internal/engine/frames.ts"

const made = Effect.map(RpcSerialization.RpcSerialization, (frames) => frames.makeUnsafe()).pipe(
  Effect.provide(Frames.layer)
)
const messages = [{ _tag: "Ping" }, { text: "ä\n\ud800 €😀".repeat(50) }, [], { deep: { of: [1, null] } }]
const bytes = (encode: RpcSerialization.Parser["encode"]) =>
  Buffer.concat(messages.map((message) => Buffer.from(encode(message) ?? "")))

describe("messages on a connection", () => {
  it.effect.each([1, 2, 3, 5, 64, 1000, 100_000])("come as they were, in parts of %d bytes", (size) =>
    Effect.gen(function* () {
      const { decode, encode } = yield* made
      const all = bytes(encode)
      const come: Array<unknown> = []
      for (let at = 0; at < all.length; at += size) come.push(...decode(all.subarray(at, at + size)))
      assert.deepStrictEqual(come, messages)
    })
  )

  it.effect("are put together in time that grows with their length alone", () =>
    Effect.gen(function* () {
      const { decode, encode } = yield* made
      const text = "x".repeat(32 * 1024 * 1024)
      const frame = Buffer.from(encode({ text }) ?? "")
      const come: Array<unknown> = []
      const before = process.cpuUsage()
      for (let at = 0; at < frame.length; at += 16_384) come.push(...decode(frame.subarray(at, at + 16_384)))
      const { system, user } = process.cpuUsage(before)
      assert.deepStrictEqual(come, [{ text }])
      assert.isBelow((user + system) / 1e6, 2)
    })
  )

  it.effect("that are said to be longer than any may be are read no further", () =>
    Effect.gen(function* () {
      const { decode } = yield* made
      assert.throws(() => decode(Buffer.from([0x7f, 0xff, 0xff, 0xff])), RangeError)
    })
  )
})
