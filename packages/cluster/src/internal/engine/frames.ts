/**
 * What goes over a connection: each message as JSON, behind its length. JSON, since V8 reads and writes it faster than anything that is written in
 * JavaScript; behind its length, since a long message is then put together once, and not looked through again with each part that comes.
 */

/** How many bytes a message may have: what one with `longest` UTF-16 units takes that are all escaped. */
export const mostBytes = 256 * 1024 * 1024
const head = 4

/** Puts together what comes in parts. */
export class Reader {
  #parts: Array<Uint8Array> = []
  #bytes = 0

  add(part: Uint8Array): void {
    this.#parts.push(part)
    this.#bytes += part.length
  }

  /** The next message; `undefined` while it is not whole. Throws where it is none of ours, or longer than `most`: nothing can be read after it. */
  next(most: number): unknown {
    if (this.#bytes < head) return undefined
    const size = this.#joined(head).readUInt32BE()
    if (size > most) throw new RangeError("The message is longer than what one process hands to another")
    if (this.#bytes < head + size) return undefined
    const all = this.#joined(head + size)
    const message: unknown = JSON.parse(all.toString("utf8", head, head + size))
    const rest = all.subarray(head + size)
    this.#parts[0] = rest
    if (rest.length === 0) this.#parts.shift()
    this.#bytes -= head + size
    return message
  }

  /** The first part, which has at least so many bytes then. */
  #joined(bytes: number): Buffer {
    const [first] = this.#parts
    if (first !== undefined && first.length >= bytes) return Buffer.from(first.buffer, first.byteOffset, first.length)
    const all = Buffer.concat(this.#parts)
    this.#parts = [all]
    return all
  }
}

/** A message as it goes over the connection. */
export const write = (message: object): Uint8Array => {
  const text = JSON.stringify(message)
  const size = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(head + size)
  frame.writeUInt32BE(size)
  frame.write(text, head)
  return frame
}
