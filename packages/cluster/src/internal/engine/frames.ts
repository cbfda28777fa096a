/**
 * What goes over a connection: each message as JSON, behind its length. JSON, since V8 reads and writes it faster than anything that is written in
 * JavaScript; behind its length, since a long message is then put together once, and not looked through again with each part that comes.
 */

/** How many bytes a message may have: what one with `longest` UTF-16 units takes that are all escaped. */
const mostBytes = 256 * 1024 * 1024
const head = 4

/** Puts together what comes in parts. */
export class Reader {
  #parts: Array<Uint8Array> = []
  #bytes = 0

  /** The messages that are whole with this part. Throws where it is none of ours, or too long: nothing can be read after it. */
  take(part: Uint8Array): ReadonlyArray<unknown> {
    this.#parts.push(part)
    this.#bytes += part.length
    const messages: Array<unknown> = []
    while (this.#bytes >= head) {
      const size = this.#joined(head).readUInt32BE()
      if (size > mostBytes) throw new RangeError("The message is longer than what one process hands to another")
      if (this.#bytes < head + size) break
      const all = this.#joined(head + size)
      messages.push(JSON.parse(all.toString("utf8", head, head + size)))
      const rest = all.subarray(head + size)
      this.#parts[0] = rest
      if (rest.length === 0) this.#parts.shift()
      this.#bytes -= head + size
    }
    return messages
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
