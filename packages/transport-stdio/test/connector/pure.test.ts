/** The pieces that need no process. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Line, LineSplitter, shown } from "../../src/internal/lines.ts"
import * as Message from "../../src/internal/message.ts"
import { measured, memory } from "./support.ts"

/** Milliseconds of this process: others take their share of the machine. */
const cpuOf = (run: () => void): number => {
  const began = process.cpuUsage()
  run()
  const { system, user } = process.cpuUsage(began)
  return (system + user) / 1000
}

/** The smallest that it may be. */
const bound = 2 * shown

/** A line, as text. */
interface Text {
  readonly text: string
  readonly tail: string | undefined
  readonly ended: boolean
}

const textOf = ({ bytes, ended, tail }: Line): Text => ({ text: bytes.toString(), tail: tail?.toString(), ended })

const split = (chunks: Iterable<Uint8Array>): ReadonlyArray<Text> => {
  const lines: Array<Text> = []
  const splitter = new LineSplitter(bound, (line) => lines.push(textOf(line)))
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
const linesOf = (bytes: Uint8Array): ReadonlyArray<Text> => {
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
    const lines: Array<Text> = []
    const splitter = new LineSplitter(bound, (line) => lines.push(textOf(line)))
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

describe("lines of many small pieces", () => {
  /** Milliseconds, and bytes held when all of the line but its end has come. */
  const cost = (size: number) => {
    let length = 0
    const splitter = new LineSplitter(16 * 1024 * 1024, ({ bytes }) => (length = bytes.length))
    const byte = Uint8Array.of(0x78)
    const before = memory()
    const took = cpuOf(() => {
      for (let index = 0; index < size; index++) splitter.push(byte)
    })
    const held = memory() - before
    splitter.push(Buffer.from("\n"))
    expect(length).toBe(size)
    return { took, held }
  }

  it("cost time that is linear in their length, and memory near to it", () => {
    // the compiler's share
    cost(100_000)
    const small = cost(1_000_000)
    const large = cost(10_000_000)
    measured("a line of 1 MB in pieces of a byte", small.took)
    measured("a line of 10 MB in pieces of a byte", large.took)
    measured("memory of the latter", large.held / 1e6, "MB")
    expect(large.took / small.took).toBeLessThan(25)
    expect(large.held).toBeLessThan(2 * 16 * 1024 * 1024)
  })

  it("keep nothing of a line when it has been taken", () => {
    const splitter = new LineSplitter(16 * 1024 * 1024, () => {})
    const before = memory()
    splitter.push(Buffer.alloc(8_000_000, "x"))
    splitter.push(Buffer.from("\n"))
    expect(memory() - before).toBeLessThan(1_000_000)
  })
})

const bounds = { containers: 500_000, members: 750_000 }
const read = (text: string) => Message.read({ bytes: Buffer.from(text), tail: undefined, ended: true }, bounds)
/** As the splitter gives a line that is too long. */
const readLong = (text: string) =>
  Message.read({ bytes: Buffer.from(text.slice(0, shown)), tail: Buffer.from(text.slice(-shown)), ended: true }, bounds)
const huge = "x".repeat(5000)
const garbage: Message.Reading = { found: [], garbage: true }
const unreadable = (id: number | string, because = "The answer is no JSON-RPC", overflow = false): Message.Reading => ({
  found: [{ _tag: "Unreadable", id, because, overflow }],
  garbage: true
})
const messages = (lines: ReadonlyArray<string>, isClean: boolean): Message.Reading => ({
  found: lines.map((line) => ({ _tag: "Message", message: JSON.parse(line), bytes: expect.any(Number) })),
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

  it("of 16 MiB is looked through in less than a second, whatever it is", () => {
    const size = 16 * 1024 * 1024
    const parts = [
      "{",
      '{"',
      '{ "',
      '{"a":',
      '{"a":1}',
      "{}",
      '{"a":"',
      '{"a":1}}',
      '{"a":{}}',
      "{ ",
      '{"a":}',
      "[",
      "\\"
    ]
    for (const [part, first] of parts.flatMap((part) => [[part, part] as const, [part, "log: "] as const])) {
      const bytes = Buffer.alloc(size, part)
      bytes.write(first)
      const line = { bytes, tail: undefined, ended: true }
      let reading: unknown
      const took = cpuOf(() => (reading = Message.read(line, bounds)))
      expect(reading).toEqual(garbage)
      measured(`16 MiB of ${part} behind ${first}`, took)
      expect(took).toBeLessThan(1000)
    }
  })

  it("has so many objects at most, which are handed on at once", () => {
    const line = '{"jsonrpc":"2.0","method":"a"} '
    const { found, garbage } = read(line.repeat(100_000))
    expect([found.length, garbage]).toEqual([1000, true])
  })

  it("is an answer behind garbage of any length", () => {
    const answer = `{"jsonrpc":"2.0","id":3,"result":{"text":"${"x".repeat(8_000_000)}"}}`
    for (const before of ["Loading...", "x".repeat(4_000_000), '[debug] {"method":"tools/call","params":{ '])
      expect(read(before + answer).found).toMatchObject([{ _tag: "Message", message: { id: 3 } }])
  })

  it("that has too many objects and arrays is not parsed, and is known by its id; braces of a text are none", () => {
    const tooMany = "The answer has more objects and arrays than limits.containers"
    const answer = (result: string) => `{"jsonrpc":"2.0","id":7,"result":{"found":${result}}}`
    for (const item of ["{}", "[]", '{"a":0}', '["",[]]'])
      expect(read(answer(`[${Array(500_000).fill(item).join(",")}]`))).toEqual(unreadable(7, tooMany, true))
    expect(read(`Loading...${answer(`[${"[],".repeat(500_000)}0]`)}`)).toEqual(unreadable(7, tooMany, true))
    expect(read(answer(`${"[".repeat(500_000)}${"]".repeat(500_000)}`))).toEqual(unreadable(7, tooMany, true))
    const ofMembers = "The answer has more members of objects than limits.members"
    expect(read(answer(`{${Array(750_000).fill('"a":0').join(",")}}`))).toEqual(unreadable(7, ofMembers, true))
    for (const result of [`[${"[],".repeat(499_996)}0]`, JSON.stringify('{"[\\'.repeat(500_000))])
      expect(read(answer(result)).found).toMatchObject([{ _tag: "Message", message: { id: 7 } }])
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
      '{"jsonrpc":"2.0","id":3,"error":"it failed"}',
      'Loading...{"jsonrpc":"2.0","id":3,"result":7}'
    ])
      expect(read(line)).toEqual(unreadable(3))
    for (const id of ["3", "leg-0", 'a "b\\'])
      expect(read(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":null}`)).toEqual(unreadable(id))
  })

  it("that is too long is known by the id of the answer, which is first or last in it", () => {
    for (const id of [7, "7", "leg-0", 'a "b\\'])
      for (const line of [
        `{"jsonrpc":"2.0","id":7,"result":{"text":"${huge}"}}`,
        `{"id":7,"jsonrpc":"2.0","result":{"text":"${huge}"}}`,
        ` { "id" : 7 , "error" : {"text":"${huge}"}}`,
        `{"result":{"text":"${huge}"},"jsonrpc":"2.0","id":7}`,
        `{"jsonrpc":"2.0","result":{"text":"${huge}"},"id":7}`,
        `{"error":{"text":"${huge}"} , "id" : 7 , "jsonrpc":"2.0" } `,
        `Loading...{"jsonrpc":"2.0","id":7,"result":{"text":"${huge}"}}`,
        `Loading...{"result":{"text":"${huge}"},"jsonrpc":"2.0","id":7}`
      ]) {
        const answer = readLong(line.replace("7", () => JSON.stringify(id)))
        expect(answer).toEqual(unreadable(id, "The answer is longer than limits.messageBytes", true))
      }
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
        const ends = { bytes: Buffer.from(text), tail: tail === undefined ? undefined : Buffer.from(tail) }
        const { found, garbage } = Message.read({ ...ends, ended: true }, bounds)
        expect(garbage || found.length > 0).toBe(true)
      }),
      { numRuns: 1000 }
    )
    expect(read("[".repeat(1_000_000))).toEqual(garbage)
    expect(read('{"id":'.repeat(100_000))).toEqual(garbage)
  })
})
