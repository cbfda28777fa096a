/**
 * Who is sent the next part of a page. In every turn of the event loop it is one, so that everything else goes on, and it is the
 * one that came last: of a crowd each is sent what the operating system takes for it, up to 4 MB on loopback, and whoever comes
 * after them must not wait for that.
 */
import { setImmediate } from "node:timers"

/** Waits for its turn; whoever came later has a higher number. */
export type Turn = (number: number) => Promise<void>

export const make = (): Turn => {
  const waiting = new Map<number, () => void>()
  const next = () => {
    const last = Math.max(...waiting.keys())
    const resume = waiting.get(last)
    waiting.delete(last)
    if (waiting.size > 0) setImmediate(next)
    resume?.()
  }
  return (number) =>
    new Promise((resolve) => {
      if (waiting.size === 0) setImmediate(next)
      waiting.set(number, resolve)
    })
}
