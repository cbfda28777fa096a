/**
 * What the servers of one connector write to stderr: the last lines of each child, and a stream of all lines.
 */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type Line, LineSplitter } from "./lines.ts"
import * as Redaction from "./redaction.ts"

/** How much of it is kept of each child. */
export interface Bounds {
  readonly lines: number
  readonly bytes: number
}

/** A line longer than this is cut. */
const maxLine = 4096

/** How many lines a reader of the stream may be behind. */
const readerBuffer = 1024

/** Who reads the lines of a connector. */
export class Readers {
  readonly #readers = new Set<(line: string) => void>()

  /** Whatever is written from now on. A reader that falls behind by more than 1024 lines loses the oldest of them. */
  readonly stream: Stream.Stream<string> = Stream.callback(
    (queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const reader = (line: string) => void Queue.offerUnsafe(queue, line)
          this.#readers.add(reader)
          return reader
        }),
        (reader) => Effect.sync(() => this.#readers.delete(reader))
      ),
    { bufferSize: readerBuffer, strategy: "sliding" }
  )

  tell(line: string): void {
    for (const reader of this.#readers) reader(line)
  }
}

/** The stderr of one child. */
export class Stderr {
  readonly #bounds: Bounds
  readonly #secrets: ReadonlyArray<string>
  readonly #longestSecret: number
  readonly #readers: Readers
  readonly #splitter = new LineSplitter(maxLine, (line) => this.#take(line))
  #last: Array<string> = []
  #bytes = 0

  /** `secrets` are what the child was given and must not be repeated. */
  constructor(bounds: Bounds, secrets: ReadonlyArray<Redacted.Redacted<string>>, readers: Readers) {
    this.#bounds = bounds
    this.#secrets = Redaction.secretsOf(secrets)
    this.#longestSecret = Math.max(0, ...this.#secrets.map(({ length }) => length))
    this.#readers = readers
  }

  /** The last lines, the oldest first. One that has no end yet, a question perhaps, is the last of them. */
  get last(): ReadonlyArray<string> {
    const { tail, text: read } = this.#splitter.unfinished
    // A character of which only a part came is one of a secret, perhaps.
    const text = read.replace(/\uFFFD+$/, "")
    if (text === "") return [...this.#last]
    const end = text.length - Redaction.begun(text, this.#secrets)
    const line = tail === undefined ? Redaction.redact(text, this.#secrets, end) : this.#cut(text)
    return this.#within([...this.#last, line], this.#bytes + Buffer.byteLength(line)).lines
  }

  push(chunk: Uint8Array): void {
    this.#splitter.push(chunk)
  }

  end(): void {
    this.#splitter.end()
  }

  #take({ tail, text }: Line): void {
    const line = tail === undefined ? Redaction.redact(text, this.#secrets) : this.#cut(text)
    this.#readers.tell(line)
    this.#last.push(line)
    const { bytes } = this.#within(this.#last, this.#bytes + Buffer.byteLength(line))
    this.#bytes = bytes
  }

  /** Drops the oldest lines until the others are within the bounds. */
  #within(lines: Array<string>, bytes: number) {
    let size = bytes
    while (lines.length > this.#bounds.lines || size > this.#bounds.bytes) {
      size -= Buffer.byteLength(lines.shift() ?? "")
    }
    return { lines, bytes: size }
  }

  /** The cut may go through a secret, of which nothing must be left. */
  #cut(text: string): string {
    return `${Redaction.redact(text, this.#secrets, Math.max(0, text.length - this.#longestSecret))}…`
  }
}
