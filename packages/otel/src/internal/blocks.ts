/**
 * Memory that is written again when nobody reads it any more. The garbage collector is in no hurry with it: a page of
 * megabytes is an object of a few bytes to it.
 */

/** As much as a reader is sent at once, and small enough that what is left of the last one does not matter. */
const blockSize = 256 * 1024

export const make = () => {
  const encoder = new TextEncoder()
  const spare: Array<ArrayBufferLike> = []
  const take = () => new Uint8Array(spare.pop() ?? new ArrayBuffer(blockSize))

  return {
    /** Writes texts in UTF-8, and calls `pause` between them. Each part is in a block of its own. */
    write: async (texts: Iterable<string>, pause: () => Promise<void>): Promise<ReadonlyArray<Uint8Array>> => {
      const parts: Array<Uint8Array> = []
      let block = take()
      let used = 0
      for (const text of texts) {
        for (let rest = text; rest !== "";) {
          const { read, written } = encoder.encodeInto(rest, block.subarray(used))
          used += written
          rest = rest.slice(read)
          // the block is full, but for less than a character
          if (rest !== "") {
            parts.push(block.subarray(0, used))
            block = take()
            used = 0
          }
        }
        await pause()
      }
      return [...parts, block.subarray(0, used)]
    },
    /** Nobody reads these parts any more. */
    free: (parts: ReadonlyArray<Uint8Array>): void => {
      for (const { buffer } of parts) spare.push(buffer)
    },
    /** What nobody reads is not needed. */
    forget: (): void => {
      spare.length = 0
    }
  }
}
