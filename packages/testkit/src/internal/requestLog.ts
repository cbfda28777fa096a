/** The requests a proxy has seen, in order, and those who wait for one. */
import { Effect } from "effect"
import type { IncomingHttpHeaders } from "node:http"
import type { Facts } from "../Fault.ts"

export interface RequestRecord extends Facts {
  /** `performance.now()` when the request had arrived with its body. */
  readonly at: number
  readonly path: string
  /** The first JSON-RPC method of the body, if it has one (an answer to the server has none). */
  readonly rpcMethod?: string
  readonly headers: IncomingHttpHeaders
  /** Whether it was passed on to the target. */
  readonly forwarded: boolean
}

export interface RequestLog {
  readonly records: ReadonlyArray<RequestRecord>
  readonly add: (record: RequestRecord) => void
  readonly awaitRequest: (predicate: (record: RequestRecord) => boolean) => Effect.Effect<RequestRecord>
}

/** Of the requests, the last so many are remembered. */
export const make = (remembered: number): RequestLog => {
  const records: Array<RequestRecord> = []
  const waiters = new Set<(record: RequestRecord) => void>()
  return {
    records,
    add: (record) => {
      records.push(record)
      if (records.length > remembered) records.shift()
      for (const waiter of [...waiters]) waiter(record)
    },
    awaitRequest: (predicate) =>
      Effect.callback<RequestRecord>((resume) => {
        const seen = records.find(predicate)
        if (seen !== undefined) return resume(Effect.succeed(seen))
        const waiter = (record: RequestRecord) => {
          if (!predicate(record)) return
          waiters.delete(waiter)
          resume(Effect.succeed(record))
        }
        waiters.add(waiter)
        return Effect.sync(() => waiters.delete(waiter))
      })
  }
}

/** The JSON-RPC methods in a body, a batch included. Whatever is no JSON-RPC has none. */
export const rpcMethods = (body: string): ReadonlyArray<string> => {
  try {
    const parsed: unknown = JSON.parse(body)
    return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((message: unknown) =>
      typeof message === "object" && message !== null && "method" in message && typeof message.method === "string"
        ? [message.method]
        : []
    )
  } catch {
    return []
  }
}
