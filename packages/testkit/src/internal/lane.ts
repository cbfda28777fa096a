/** One direction of one exchange: passes bytes on in order, at once unless a fault holds or slows them. */

/** What the faults ask of the bytes that pass now. */
export interface Shape {
  /** Milliseconds by which they are late. */
  readonly delay: number
  /** Infinity when nothing is throttled. */
  readonly bytesPerSecond: number
}

export interface Lane {
  /** Passes `bytes` on when they are due. */
  readonly push: (bytes: Buffer) => void
  /** Runs `done` behind everything that was pushed. */
  readonly finish: (done: () => void) => void
  /** Delivers everything that is held, now. */
  readonly flush: () => void
  /** Discards everything that is held. */
  readonly discard: () => void
}

/** A throttled chunk is passed on in pieces of this many milliseconds, so that it trickles. */
const piece = 50

export const make = (options: { readonly shape: () => Shape; readonly write: (bytes: Buffer) => void }): Lane => {
  interface Held {
    readonly due: number
    readonly run: () => void
  }
  let held: Array<Held> = []
  let lastDue = 0
  let timer: NodeJS.Timeout | undefined

  const arm = () => {
    timer = undefined
    const now = performance.now()
    while (held[0] !== undefined && held[0].due <= now) held.shift()?.run()
    if (held[0] !== undefined && timer === undefined) timer = setTimeout(arm, Math.ceil(held[0].due - now))
  }
  const enqueue = (due: number, run: () => void) => {
    if (held.length === 0 && due <= performance.now()) return run()
    lastDue = Math.max(lastDue, due)
    held.push({ due: lastDue, run })
    if (timer === undefined) arm()
  }
  const stop = () => {
    clearTimeout(timer)
    timer = undefined
    const rest = held
    held = []
    lastDue = 0
    return rest
  }

  return {
    push: (bytes) => {
      const { bytesPerSecond, delay } = options.shape()
      const start = performance.now() + delay
      if (bytesPerSecond === Infinity) return enqueue(start, () => options.write(bytes))
      const size = Math.max(1, Math.floor((bytesPerSecond * piece) / 1000))
      for (let offset = 0; offset < bytes.length; offset += size) {
        const part = bytes.subarray(offset, offset + size)
        enqueue(Math.max(start, lastDue) + (part.length / bytesPerSecond) * 1000, () => options.write(part))
      }
    },
    finish: (done) => enqueue(performance.now() + options.shape().delay, done),
    flush: () => {
      for (const { run } of stop()) run()
    },
    discard: () => void stop()
  }
}
