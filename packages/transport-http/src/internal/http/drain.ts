/**
 * Bodies of which nothing, or only the text of an error, is of use. They are read to their end, so that the connection can serve
 * again, as long as that takes no more than a moment.
 */
import type { Body } from "./exchange.ts"
import { Bytes } from "./bytes.ts"

/** How much is read of a body that has no reader, in bytes, and for how long, in milliseconds. */
const longest = 64 * 1024
const patience = 250

/** Reads the body away. `abort` ends its exchange. */
export const body = (abort: () => void): Body => {
  let length = 0
  const timer = setTimeout(abort, patience)
  return {
    onData: (chunk) => {
      length += chunk.length
      if (length > longest) abort()
    },
    onEnd: () => {},
    onFailure: () => {},
    onOver: () => clearTimeout(timer)
  }
}

/** Reads the text of the body, as far as it comes; `done` gets it once. */
export const text = (done: (text: string) => void, abort: () => void): Body => {
  const bytes = new Bytes()
  let isDone = false
  const over = () => {
    clearTimeout(timer)
    if (isDone) return
    isDone = true
    done(bytes.take().toString("utf8"))
  }
  const timer = setTimeout(abort, patience)
  return {
    onData: (chunk) => {
      bytes.append(chunk.subarray(0, longest - bytes.length))
      if (bytes.length >= longest) abort()
    },
    onEnd: () => {},
    onFailure: () => {},
    onOver: over
  }
}

/** Nothing of it is of use, and whoever sent it may send anything. */
export const nothing = (abort: () => void): Body => {
  queueMicrotask(abort)
  return { onData: () => {}, onEnd: () => {}, onFailure: () => {} }
}
