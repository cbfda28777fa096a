/** The pieces that need no process. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Line, LineSplitter, shown } from "../../src/internal/lines.ts"
import * as Message from "../../src/internal/message.ts"
import { measured, memory } from "./support.ts"

/** The smallest that it may be. */
const bound = 2 * shown

const split = (chunks: Iterable<Uint8Array>): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  const splitter = new LineSplitter(bound, (line) => lines.push(line))
  for (const chunk of chunks) splitter.push(chunk)
  splitter.end()
  return lines
}

/** Cut at those places. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.slice(at[index], end))
}

/** What the lines of all the bytes are, by the definition. */
const linesOf = (bytes: Uint8Array): ReadonlyArray<Line> => {
  const lines: Array<Buffer> = []
  let rest = Buffer.from(bytes)
  for (let at = rest.indexOf("\n"); at !== -1; at = rest.indexOf("\n")) {
    lines.push(rest.subarray(0, at))
    rest = rest.subarray(at + 1)
  }
  const ended = lines.length
  if (rest.length > 0) lines.push(rest)
  const text = (line: Buffer) => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line).toString()
  return lines.map((line, index) => ({
    ...(line.length <= bound
      ? { text: text(line), tail: undefined }
      : { text: line.subarray(0, shown).toString(), tail: text(line.subarray(-shown)) }),
    ended: index < ended
  }))
}

const pieces = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 30 }) },
  { weight: 3, arbitrary: fc.constantFrom("\n", "\r\n", "ä", "€", "🙂").map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.integer({ min: shown, max: 3 * bound }).map((size) => Buffer.alloc(size, "🙂x")) }
)
const bytes = fc.array(pieces, { maxLength: 20 }).map((parts) => Uint8Array.from(Buffer.concat(parts)))

describe("lines", () => {
  it("are the same however the bytes are cut into chunks", () => {
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 30 }), (bytes, places) => {
        expect(split(cut(bytes, places))).toEqual(linesOf(bytes))
      }),
      { numRuns: 500 }
    )
    const everyByte = Buffer.from("grün 🙂\r\n\n€\r")
    expect(split(Array.from(everyByte, (byte) => Uint8Array.of(byte))).map(({ text }) => text)).toEqual([
      "grün 🙂",
      "",
      "€"
    ])
  })

  it("that are too long cost no more than their bound, of whatever length they are", () => {
    const lines: Array<Line> = []
    const splitter = new LineSplitter(bound, (line) => lines.push(line))
    const before = memory()
    splitter.push(Buffer.from("begin"))
    for (let index = 0; index < 1000; index++) splitter.push(Buffer.alloc(64 * 1024, "x"))
    expect(memory() - before).toBeLessThan(1_000_000)
    splitter.push(Buffer.from("end\nnext\n"))
    expect(lines).toEqual([
      { text: "begin".padEnd(shown, "x"), tail: "end".padStart(shown, "x"), ended: true },
      { text: "next", tail: undefined, ended: true }
    ])
  })
})

const read = (text: string) => Message.read({ text, tail: undefined, ended: true })
/** As the splitter gives a line that is too long. */
const readLong = (text: string) => Message.read({ text: text.slice(0, shown), tail: text.slice(-shown), ended: true })
const huge = "x".repeat(5000)
const garbage: Message.Reading = { found: [], garbage: true }
const unreadable = (id: number, because = "The answer is no JSON-RPC"): Message.Reading => ({
  found: [{ _tag: "Unreadable", id, because }],
  garbage: true
})
const messages = (lines: ReadonlyArray<string>, isClean: boolean): Message.Reading => ({
  found: lines.map((line) => ({ _tag: "Message", message: JSON.parse(line) })),
  garbage: !isClean
})

const id = fc.oneof(fc.nat(), fc.string())
const params = fc.dictionary(fc.string(), fc.jsonValue())
const message = fc.oneof(
  fc.record({ jsonrpc: fc.constant("2.0"), id, method: fc.string() }),
  fc.record({ jsonrpc: fc.constant("2.0"), method: fc.string() }),
  fc.record({ jsonrpc: fc.constant("2.0"), id, result: params.map((found) => ({ found })) }),
  fc.record({ jsonrpc: fc.constant("2.0"), id, error: fc.record({ code: fc.integer(), message: fc.string() }) })
)

describe("a line of stdout", () => {
  it("is read as the messages that it holds, with anything before, between and after them", () => {
    const space = fc.stringMatching(/^\s*$/)
    const other = fc.oneof(
      fc.stringMatching(/^[^{\s][^{]*$/),
      fc
        .dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 })
        .map((logged) => JSON.stringify({ level: 30, ...logged })),
      fc.constantFrom("{x} ", "{ }{", '{"method":"tools/call","id":1}', '{"level":"info","msg":"rea')
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(space, message)), space, (found, last) => {
        const lines = found.map(([, one]) => JSON.stringify(one))
        const line = found.map(([before], index) => before + lines[index]).join("") + last
        expect(read(line)).toEqual(messages(lines, lines.length > 0))
      })
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(other, message), { minLength: 1, maxLength: 4 }), other, (found, last) => {
        const lines = found.map(([, one]) => JSON.stringify(one))
        const line = found.map(([before], index) => before + lines[index]).join("") + last
        expect(read(line)).toEqual(messages(lines, false))
      })
    )
  })

  it("is looked through in time, whatever it is", () => {
    const began = performance.now()
    const size = 2 * 1024 * 1024
    for (const part of ["{", '{"', '{"a":', '{"a":1}', "{}", '{"a":"', '{"a":1}}'])
      expect(read(part.repeat(size / part.length))).toEqual(garbage)
    // Walking from each beginning to the end of the line would take an hour.
    const took = performance.now() - began
    measured("seven lines of 2 MiB of garbage", took)
    expect(took).toBeLessThan(30_000)
  })

  it("that is logged has no message in it: what is inside of an object is part of that", () => {
    const answer = '{"jsonrpc":"2.0","id":3,"result":{}}'
    for (const line of [
      `{"level":"debug","upstream":${answer}}`,
      `12:00 {"level":"debug","upstream":${answer}}`,
      `12:00 {"level":"debug","upstream":${JSON.stringify(answer)}}`,
      `{"level":"debug","upstream":[${answer}]} ok`
    ])
      expect(read(line)).toEqual(garbage)
  })

  it("that is an answer which is not well-formed is known by its id", () => {
    for (const line of [
      '{"jsonrpc":"1.0","id":3,"result":{}}',
      '{"jsonrpc":"2.0","id":3,"result":"text"}',
      '{"jsonrpc":"2.0","id":"3","result":null}',
      '{"jsonrpc":"2.0","id":3,"error":"it failed"}',
      'Loading...{"jsonrpc":"2.0","id":3,"result":7}'
    ])
      expect(read(line)).toEqual(unreadable(3))
  })

  it("that is too long is known by the id of the answer, which is first or last in it", () => {
    for (const line of [
      `{"jsonrpc":"2.0","id":7,"result":{"text":"${huge}"}}`,
      `{"id":7,"jsonrpc":"2.0","result":{"text":"${huge}"}}`,
      ` { "id" : "7" , "error" : {"text":"${huge}"}}`,
      `{"result":{"text":"${huge}"},"jsonrpc":"2.0","id":7}`,
      `{"jsonrpc":"2.0","result":{"text":"${huge}"},"id":7}`,
      `{"error":{"text":"${huge}"} , "id" : "7" , "jsonrpc":"2.0" } `,
      `Loading...{"jsonrpc":"2.0","id":7,"result":{"text":"${huge}"}}`,
      `Loading...{"result":{"text":"${huge}"},"jsonrpc":"2.0","id":7}`
    ])
      expect(readLong(line)).toEqual(unreadable(7, "The answer is longer than maxLineBytes"))
  })

  it("that is too long and no answer fails nobody: an id deep inside, or of the server's own request, is not ours", () => {
    for (const line of [
      `{"jsonrpc":"2.0","result":{"id":7,"text":"${huge}"}}`,
      `{"jsonrpc":"2.0","result":{"item":{"id":7,"result":1},"text":"${huge}"}}`,
      `{"jsonrpc":"2.0","result":{"text":"${huge}","item":{},"id":7}}`,
      `{"jsonrpc":"2.0","method":"sampling/createMessage","params":{"text":"${huge}"},"id":7}`,
      `{"method":"sampling/createMessage","params":{"text":"${huge}"},"jsonrpc":"2.0","id":7}`,
      `{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"text":"${huge}"}}`,
      `{"params":{"text":"${huge}"},"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}`,
      `{"level":"info","text":"${huge}","context":{},"id":7}`,
      huge
    ])
      expect(readLong(line)).toEqual(garbage)
  })

  it("that is anything else is garbage", () => {
    for (const line of [
      "",
      " ",
      "Loading...",
      '{"level":"info"}',
      "[]",
      "null",
      "7",
      '"text"',
      '{"id":7,"method":"x"}',
      '{"id":null,"result":{}}',
      '{"id":{"id":7},"result":{}}',
      '{"jsonrpc":"2.0","result":{"id":7}',
      // what is logged may well have an id, and an error
      '{"level":30,"id":7,"msg":"order received"}',
      '{"level":50,"id":7,"error":"not found"}',
      '{"id":7,"result":{}}',
      '{"jsonrpc":"2.0","id":7}'
    ])
      expect(read(line)).toEqual(garbage)
  })

  it("never throws, whatever it is", () => {
    const anything = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      fc
        .array(fc.constantFrom("{", "}", '"id"', ":", "7", ",", '"result"', '"jsonrpc"', '"2.0"', " ", "x"))
        .map((parts) => parts.join(""))
    )
    fc.assert(
      fc.property(anything, fc.option(anything, { nil: undefined }), (text, tail) => {
        const { found, garbage } = Message.read({ text, tail, ended: true })
        expect(garbage || found.length > 0).toBe(true)
      }),
      { numRuns: 1000 }
    )
    expect(read("[".repeat(1_000_000))).toEqual(garbage)
    expect(read('{"id":'.repeat(100_000))).toEqual(garbage)
  })
})
