/**
 * Bytes that come in pieces: joined in one buffer that grows by doubling, so that neither the size of the pieces nor their number
 * costs more than the bytes themselves.
 */
import { Buffer } from "node:buffer"

const empty = Buffer.alloc(0)

/** See the module. */
export class Bytes {
  #buffer: Buffer = empty
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Copies a piece, so that nothing holds the chunk of which it is a slice. */
  append(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, 256))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    this.#buffer.set(piece, this.#length)
    this.#length = needed
  }

  /** All of them; what was taken belongs to whoever took it. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#buffer = empty
    this.#length = 0
    return taken
  }
}

/** The same bytes as a `Buffer`, which knows how to decode them. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
