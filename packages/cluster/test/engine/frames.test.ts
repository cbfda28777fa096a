/** Messages on a connection, however the network cuts them. */
import { assert, describe, it } from "@effect/vitest"
import * as Frames from "../../src/internal/engine/frames.ts"

const messages = [{ _tag: "Ping" }, { text: "ä\n\ud800 €😀".repeat(50) }, [], { deep: { of: [1, null] } }]
const all = Buffer.concat(messages.map(Frames.write))

describe("messages on a connection", () => {
  it.each([1, 2, 3, 5, 64, 1000, 100_000])("come as they were, in parts of %d bytes", (size) => {
    const reader = new Frames.Reader()
    const come: Array<unknown> = []
    for (let at = 0; at < all.length; at += size) come.push(...reader.take(all.subarray(at, at + size)))
    assert.deepStrictEqual(come, messages)
  })

  it("are put together in time that grows with their length alone", () => {
    const reader = new Frames.Reader()
    const text = "x".repeat(32 * 1024 * 1024)
    const frame = Frames.write({ text })
    const come: Array<unknown> = []
    const before = process.cpuUsage()
    for (let at = 0; at < frame.length; at += 16_384) come.push(...reader.take(frame.subarray(at, at + 16_384)))
    const { system, user } = process.cpuUsage(before)
    assert.deepStrictEqual(come, [{ text }])
    assert.isBelow((user + system) / 1e6, 2)
  })

  it("that are said to be longer than any may be are read no further", () => {
    assert.throws(() => new Frames.Reader().take(Buffer.from([0x7f, 0xff, 0xff, 0xff])), RangeError)
  })
})
