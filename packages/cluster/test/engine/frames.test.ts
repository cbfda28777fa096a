/** Messages on a connection, however the network cuts them. */
import { assert, describe, it } from "@effect/vitest"
import * as Frames from "../../src/internal/engine/frames.ts"

const messages = [{ _tag: "Ping" }, { text: "ä\n\ud800 €😀".repeat(50) }, [], { deep: { of: [1, null] } }]
/** Those that are whole with a part. */
const read = (reader: Frames.Reader, part: Uint8Array): ReadonlyArray<unknown> => {
  reader.add(part)
  const come: Array<unknown> = []
  for (;;) {
    const message = reader.next(Frames.mostBytes)
    if (message === undefined) return come
    come.push(message)
  }
}
const all = Buffer.concat(messages.map(Frames.write))

describe("messages on a connection", () => {
  it.each([1, 2, 3, 5, 64, 1000, 100_000])("come as they were, in parts of %d bytes", (size) => {
    const reader = new Frames.Reader()
    const come: Array<unknown> = []
    for (let at = 0; at < all.length; at += size) come.push(...read(reader, all.subarray(at, at + size)))
    assert.deepStrictEqual(come, messages)
  })

  it("are put together in time that grows with their length alone", () => {
    const reader = new Frames.Reader()
    const text = "x".repeat(32 * 1024 * 1024)
    const frame = Frames.write({ text })
    const come: Array<unknown> = []
    const before = process.cpuUsage()
    for (let at = 0; at < frame.length; at += 16_384) come.push(...read(reader, frame.subarray(at, at + 16_384)))
    const { system, user } = process.cpuUsage(before)
    assert.deepStrictEqual(come, [{ text }])
    assert.isBelow((user + system) / 1e6, 2)
  })

  it("that are said to be longer than any may be are read no further", () => {
    const reader = new Frames.Reader()
    reader.add(Frames.write({ text: "x".repeat(100) }))
    assert.throws(() => reader.next(99), RangeError)
  })
})
