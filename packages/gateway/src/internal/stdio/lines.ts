/**
 * Lines of text from bytes as they come, within a bound.
 */
import { StringDecoder } from "node:string_decoder"

/** Takes bytes as they come, and gives lines; of one that is too long nothing is held. */
export class Lines {
  readonly #most: number
  readonly #onLine: (line: string) => void
  readonly #onTooLong: () => void
  readonly #decoder = new StringDecoder("utf8")
  #parts: Array<string> = []
  #length = 0
  #isTooLong = false

  /** `most` characters a line. */
  constructor(most: number, onLine: (line: string) => void, onTooLong: () => void) {
    this.#most = most
    this.#onLine = onLine
    this.#onTooLong = onTooLong
  }

  take(chunk: Buffer): void {
    const [first = "", ...others] = this.#decoder.write(chunk).split("\n")
    this.#add(first)
    for (const part of others) {
      this.#end()
      this.#add(part)
    }
  }

  #add(part: string): void {
    if (this.#isTooLong) return
    this.#length += part.length
    if (this.#length <= this.#most) return void this.#parts.push(part)
    this.#isTooLong = true
    this.#parts = []
    this.#onTooLong()
  }

  #end(): void {
    const line = this.#parts.join("")
    if (!this.#isTooLong && line.trim() !== "") this.#onLine(line)
    this.#parts = []
    this.#length = 0
    this.#isTooLong = false
  }
}
