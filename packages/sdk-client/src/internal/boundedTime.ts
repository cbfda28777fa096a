/**
 * Runs something that gives up the processor to nobody, for a bounded time.
 */
import { createContext, Script } from "node:vm"
import { isObject } from "../Message.ts"

/** Whether the time of {@link within} ran out. The error is an `Error` of the context in which it did, not of this one. */
export const isTimeout = (error: unknown): boolean =>
  isObject(error) && error["code"] === "ERR_SCRIPT_EXECUTION_TIMEOUT"

/** Made when it is first needed: a context costs a megabyte. One is enough, since nothing in here waits. */
let bounded: ((time: number, run: () => unknown) => unknown) | undefined

const makeBounded = () => {
  const slot: { run: (() => unknown) | undefined } = { run: undefined }
  const context = createContext(slot)
  const script = new Script("run()")
  return (timeout: number, run: () => unknown): unknown => {
    slot.run = run
    try {
      return script.runInContext(context, { timeout })
    } finally {
      slot.run = undefined
    }
  }
}

/** Runs something, and throws when it takes longer than that: the one way to end what does not give up the processor. */
export const within = <A>(time: number, run: () => A): A => {
  let result: { readonly value: A } | undefined
  bounded ??= makeBounded()
  bounded(time, () => {
    result = { value: run() }
  })
  if (result === undefined) throw new Error("nothing was run")
  return result.value
}
