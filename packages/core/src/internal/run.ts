/**
 * One run of a callback on one session.
 */
import * as Effect from "effect/Effect"
import { type RequestRecord, traceparent } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { stackless } from "./errors.ts"
import type { Ended, Kept } from "./judgement.ts"
import type { CallInFlight, OpenSession } from "./sessionCell.ts"
import * as Tracing from "./tracing.ts"

/** Code of the user's that makes requests. */
export type Callback<Client, A> = (client: Client, signal: AbortSignal) => PromiseLike<A>

/** What is known of a call beside how it ends. */
export interface Settling {
  replayed: boolean
  /** as `CallSettled` has it */
  method: string | undefined
}

/** Runs the callback on the open session, once. Interruption aborts its signal. */
export const runOnce = <Client, A>(
  { policy, supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>,
  startedAt: number,
  settling: Settling
): Effect.Effect<Ended<A>> =>
  Effect.withFiber(({ cache: { span } }) => {
    if (policy.spans) Tracing.link(span, open)
    return Effect.callback((resume) => {
      const call = open.session.call(traceparent(span))
      // A controller costs as much as the rest of the guard: a callback that names the client alone gets none.
      const controller = callback.length === 1 ? undefined : new AbortController()
      /** whatever else the callback has begun: it must not go on beside the next run */
      const end = () => {
        call.end()
        controller?.abort(over)
      }
      const entry: CallInFlight = {
        startedAt,
        requests: call.requests,
        abandon: (reason) => {
          const requests = snapshot(call.requests)
          settling.method = methodOf(requests)
          end()
          resume(Effect.succeed({ _tag: "Abandoned", reason, requests }))
        }
      }
      const leave = () => {
        if (!open.calls.delete(entry)) return false
        settling.method = methodOf(call.requests)
        open.seen.call = supervisor.now()
        supervisor.released(open)
        return true
      }
      open.calls.add(entry)
      const settle = (ended: Ended<A>) => {
        if (!leave()) return
        if (isAnswered(call.requests)) {
          open.seen.answer = open.seen.call
          supervisor.send({ _tag: "CallAnswered", generation: open.generation })
        }
        resume(Effect.succeed(ended))
      }
      const threw = (cause: unknown) => {
        const requests = snapshot(call.requests)
        end()
        settle({ _tag: "Threw", cause, requests })
      }
      try {
        callback(call.client, controller?.signal ?? never).then((value) => settle({ _tag: "Ok", value }), threw)
      } catch (cause) {
        threw(cause)
      }
      return Effect.sync(() => {
        leave()
        end()
      })
    })
  })

/** Whether the server answered a request in a way that casts no doubt: also with an error, whatever the callback made of it. */
const isAnswered = (requests: ReadonlyArray<RequestRecord>): boolean => {
  for (const { evidence, fate } of requests) {
    if (fate === "answered" && evidence !== undefined && Evidence.ofCall(evidence) === undefined) return true
  }
  return false
}

/** The method of all requests, where there is one. */
const methodOf = (requests: ReadonlyArray<RequestRecord>): string | undefined => {
  const [first] = requests
  for (const { method } of requests) if (method !== first?.method) return undefined
  return first?.method
}

/** What the requests had come to: what ends the call or its session changes the records. */
const snapshot = (requests: ReadonlyArray<RequestRecord>): ReadonlyArray<RequestRecord> =>
  requests.map((request) => ({ ...request }))

/** One for all: `abort` makes one with a stack for each, which costs more than the rest of what ends a call. */
const over = stackless(() => new DOMException("The call has ended", "AbortError"))

const never = new AbortController().signal
