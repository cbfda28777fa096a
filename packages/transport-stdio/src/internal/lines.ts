/**
 * Cuts a stream of bytes into lines, in bounded memory.
 */
import { Buffer } from "node:buffer"

/** One line, without its end. */
export interface Line {
  /** the whole line, or only its first {@link shown} bytes where it is longer than the bound */
  readonly text: string
  /** the last {@link shown} bytes of a line that is longer than the bound, else `undefined` */
  readonly tail: string | undefined
}

/** How much is kept of each end of a line that is too long. */
export const shown = 1024

const newline = 0x0a
const carriageReturn = 0x0d

/** See the module. */
export class LineSplitter {
  readonly #bound: number
  readonly #take: (line: Line) => void
  #parts: Array<Uint8Array> = []
  #size = 0
  #head: Uint8Array | undefined = undefined

  /** `bound`: of a line, in bytes; at least twice {@link shown} */
  constructor(bound: number, take: (line: Line) => void) {
    this.#bound = bound
    this.#take = take
  }

  /** Takes the next bytes. */
  push(chunk: Uint8Array): void {
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      this.#append(chunk.subarray(from, at))
      this.#flush()
      from = at + 1
    }
    if (from < chunk.length) this.#append(chunk.subarray(from))
  }

  /** No more bytes will come: what is left is a line, too. */
  end(): void {
    if (this.#size > 0) this.#flush()
  }

  #append(part: Uint8Array): void {
    this.#size += part.length
    this.#parts.push(part)
    if (this.#size <= this.#bound) return
    this.#head ??= Buffer.from(Buffer.concat(this.#parts).subarray(0, shown))
    // Copied, so that no large chunk is held by the small end of it that is kept.
    this.#parts = [Buffer.from(Buffer.concat(this.#parts).subarray(-shown))]
  }

  #flush(): void {
    const line = this.unfinished
    this.#parts = []
    this.#size = 0
    this.#head = undefined
    this.#take(line)
  }

  /** The line that has begun, as far as it came; empty where none has. */
  get unfinished(): Line {
    const [first = new Uint8Array(), ...others] = this.#parts
    const rest = withoutReturn(others.length === 0 ? Buffer.from(first) : Buffer.concat(this.#parts))
    return this.#head === undefined
      ? { text: rest.toString("utf8"), tail: undefined }
      : { text: this.#head.toString(), tail: rest.toString("utf8") }
  }
}

const withoutReturn = (line: Buffer): Buffer => (line.at(-1) === carriageReturn ? line.subarray(0, -1) : line)
