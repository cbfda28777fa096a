/**
 * Comments in event streams: clients and proxies cut a body in which nothing comes for long.
 */

/** In milliseconds, as servers of the SDKs do. */
const interval = 15_000

const comment = new TextEncoder().encode(":\n\n")

/** The same body, with a comment whenever its reader has waited for that long. Each chunk of it is one event or several. */
export const commented = (body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> => {
  const reader = body.getReader()
  let next: ReturnType<typeof reader.read> | undefined
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        next ??= reader.read()
        let timer: NodeJS.Timeout | undefined
        const silence = new Promise<undefined>((resolve) => {
          timer = setTimeout(() => resolve(undefined), interval)
          timer.unref()
        })
        const came = await Promise.race([next, silence])
        clearTimeout(timer)
        if (came === undefined) return controller.enqueue(comment)
        next = undefined
        if (came.done) controller.close()
        else controller.enqueue(came.value)
      },
      cancel: (reason) => reader.cancel(reason)
    },
    { highWaterMark: 0 }
  )
}
