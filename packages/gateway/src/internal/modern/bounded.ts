/**
 * The body of an answer of the SDK's, which itself lets grow without bound what is not read.
 */

/** How much may wait to be read, in bytes: as much as a message of a server's may have. What comes behind may be as long again. */
const most = 16 * 1024 * 1024

/**
 * The same body, read as it comes: where its reader leaves too much, both end, and so does the request. `ended` is called once, however it
 * ends.
 */
export const bounded = (
  body: ReadableStream<Uint8Array>,
  ended: () => void,
  highWaterMark = most
): ReadableStream<Uint8Array> => {
  const reader = body.getReader()
  const read = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        if ((controller.desiredSize ?? 0) <= 0) throw new Error("too much of an answer is not read")
        controller.enqueue(next.value)
      }
      controller.close()
    } catch (error) {
      controller.error(error)
      await reader.cancel(error)
    }
  }
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        // what is wrong with the body is its reader's to know
        void read(controller)
          .catch(() => {})
          .then(ended)
      },
      // ends the loop
      cancel: (reason) => reader.cancel(reason)
    },
    { highWaterMark, size: ({ length }) => length }
  )
}
