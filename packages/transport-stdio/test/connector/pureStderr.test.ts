/** What is kept and shown of the stderr of a child, without the child. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Stream } from "effect"
import * as fc from "fast-check"
import { Readers, Stderr } from "../../src/internal/stderr.ts"

const enough = { lines: 50, bytes: 16 * 1024 }

/** What a child wrote, as its readers and its errors see it: at the end, and after every chunk. */
const shown = (chunks: ReadonlyArray<string | Uint8Array>, secrets: ReadonlyArray<string> = [], bounds = enough) => {
  const readers = new Readers()
  const told: Array<string> = []
  readers.tell = (line) => void told.push(line)
  const stderr = new Stderr(
    bounds,
    secrets.map((secret) => Redacted.make(secret)),
    readers
  )
  const meanwhile = chunks.map((chunk) => {
    stderr.push(Buffer.from(chunk))
    return stderr.last
  })
  stderr.end()
  return { told, last: stderr.last, meanwhile }
}

describe("stderr", () => {
  it("is kept to its last lines, as many as the bounds of lines and of bytes allow", () => {
    const lines = fc.array(
      fc.stringMatching(/^[a-zäß€]{0,40}$/).filter((line) => line !== ""),
      { maxLength: 30 }
    )
    fc.assert(
      fc.property(lines, fc.nat(20), fc.nat(300), (lines, most, bytes) => {
        const { last } = shown([lines.map((line) => `${line}\n`).join("")], [], { lines: most, bytes })
        expect(last).toEqual(lines.slice(lines.length - last.length))
        const size = (kept: ReadonlyArray<string>) => Buffer.byteLength(kept.join(""))
        expect(last.length).toBeLessThanOrEqual(most)
        expect(size(last)).toBeLessThanOrEqual(bytes)
        const oneMore = lines.slice(Math.max(0, lines.length - last.length - 1))
        expect(oneMore.length === last.length || oneMore.length > most || size(oneMore) > bytes).toBe(true)
        // a last line without end is one of them
        expect(shown([lines.join("\n")], [], { lines: most, bytes }).meanwhile).toEqual([last])
      })
    )
  })

  it("has the line that was begun, within its bounds, and nothing of a secret that may have begun in it", () => {
    const begun = (text: string, bounds = enough) => {
      const stderr = new Stderr(bounds, [Redacted.make("SECRET")], new Readers())
      stderr.push(Buffer.from(text))
      return stderr.last
    }
    expect(begun("one\nEnter your token: ")).toEqual(["one", "Enter your token: "])
    expect(begun("got SECRET, and SECR")).toEqual(["got <redacted>, and "])
    expect(begun("one\ntwo\nthree", { lines: 2, bytes: 100 })).toEqual(["two", "three"])
    expect(begun("one\ntwo\nthree", { lines: 9, bytes: 5 })).toEqual(["three"])
    expect(begun("one", { lines: 0, bytes: 5 })).toEqual([])
  })

  it("shows the first 1 KiB of a line of more than 4 KiB, and says that it was cut", () => {
    expect(shown(["x".repeat(4096), "\n", "y".repeat(4097)]).last).toEqual(["x".repeat(4096), `${"y".repeat(1024)}…`])
  })

  it("has nothing of a secret in it, wherever the secret stands, however it is cut, and whatever was shown before", () => {
    // secrets are of letters that stand nowhere else
    const secret = fc.oneof(
      { weight: 5, arbitrary: fc.stringMatching(/^[A-ZÄ]{1,40}$/) },
      {
        weight: 1,
        arbitrary: fc.integer({ min: 500, max: 3000 }).map((length) => "GEHEIM".repeat(length).slice(0, length))
      },
      { weight: 1, arbitrary: fc.constant("-BEGIN-\nFIRST\r\nSECOND\n-END-\n".replaceAll("-", "Z")) }
    )
    const filler = fc.oneof(
      { weight: 5, arbitrary: fc.stringMatching(/^[a-zß🙂 \n]{0,30}$/u) },
      { weight: 1, arbitrary: fc.integer({ min: 900, max: 1100 }).map((length) => "x".repeat(length)) },
      { weight: 1, arbitrary: fc.integer({ min: 3000, max: 5000 }).map((length) => "ß".repeat(length)) }
    )
    const written = fc
      .array(secret, { minLength: 1, maxLength: 3 })
      .chain((secrets) =>
        fc
          .array(fc.oneof(filler, fc.constantFrom(...secrets)), { maxLength: 8 })
          .map((parts) => ({ secrets, text: parts.join("") }))
      )
    fc.assert(
      fc.property(written, fc.nat(), fc.array(fc.nat(), { maxLength: 4 }), ({ secrets, text }, death, places) => {
        const all = Buffer.from(text)
        // It may die in the midst of writing.
        const bytes = all.subarray(0, all.length - (death % (all.length + 1)))
        const at = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
        const { last, meanwhile, told } = shown(chunks, secrets)
        expect([told, last, meanwhile].flat(2).join("")).not.toMatch(/[A-ZÄ]/)
      }),
      { numRuns: 1000 }
    )
  })

  it("says where a secret was", () => {
    expect(shown(["key=SECRET!\n", "SECRET and SECRETLY\n"], ["SECRET", "SECRETLY", ""]).told).toEqual([
      "key=<redacted>!",
      "<redacted> and <redacted>"
    ])
  })
})

it("a reader of stderr that falls behind loses the oldest lines only, and is told of none from before it began", async () => {
  const readers = new Readers()
  readers.tell("before")
  const read: Array<string> = []
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const reader = readers.stream.pipe(
    Stream.takeUntil((line) => line.endsWith("last")),
    Stream.runForEach((line) => {
      read.push(line)
      return Effect.promise(() => released)
    })
  )
  const padded = (index: number) => String(index).padStart(63)
  await Effect.runPromise(
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(reader, { startImmediately: true })
      readers.tell("first")
      yield* Effect.promise(async () => {
        while (read.length === 0) await new Promise((resolve) => setImmediate(resolve))
      })
      for (let index = 0; index < 100_000; index++) readers.tell(padded(index))
      readers.tell("last".padStart(63))
      release()
      yield* Fiber.join(fiber)
    })
  )
  expect(read[0]).toBe("first")
  // 1 MiB, and the line that it had read
  expect(read.length).toBe(1 + (1024 * 1024) / (padded(0).length + 1))
  expect(read.slice(-3)).toEqual([padded(99_998), padded(99_999), "last".padStart(63)])
})
