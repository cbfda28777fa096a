/**
 * A raw message, run through core where the session is: at most once, replayed only where that does no harm, judged by what the server did.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { type Answer, NotKept, type Session } from "../protocol.ts"
import type { Audience } from "./audience.ts"

export interface Request {
  readonly kind: "request" | "notification"
  readonly method: string
  /** as JSON */
  readonly params: string | undefined
  readonly idempotent: boolean
  /** who asks, as it is attached */
  readonly caller: string
  /** by which the caller knows the request */
  readonly label: number
  /** the session that the caller holds, where it does: on that one or on none */
  readonly pin: { readonly id: string; readonly generation: number } | undefined
}

/** A backend that this process keeps, and who hears what its server says. */
export interface Kept {
  readonly backend: Backend.Backend<Peer.Peer>
  readonly audience: Audience
}

/** How many UTF-16 units a message between two processes may have. */
export const longest = 64 * 1024 * 1024

/** That a message is longer. */
export const tooLong = (backend: string, what: "request" | "answer"): BackendError.CallFailed =>
  new BackendError.CallFailed({
    backend,
    reason: "overflow",
    code: undefined,
    retryAfter: undefined,
    cause: new Error(`The ${what} is longer than what one process hands to another`)
  })

export const perform = (
  { audience, backend }: Kept,
  { caller, idempotent, kind, label, method, params, pin }: Request
): Effect.Effect<Answer, BackendError.CallError | BackendError.SessionReplaced> =>
  Effect.suspend(() => {
    const asking = audience.ask(caller, label, params === undefined ? undefined : JSON.parse(params))
    const question = asking.params === undefined ? { method } : { method, params: asking.params }
    let told = 0
    const callback = (peer: Peer.Peer, signal: AbortSignal): Promise<object> => {
      if (kind !== "request") return peer.notification(question).then(() => ({}))
      // not within the literal: V8 would allocate them where only a full collection frees them
      const onId = (id: number) => asking.sent(peer.server, id)
      const onAnswer = () => void (told = asking.answered())
      return peer.request(question, { signal, onId, onAnswer })
    }
    const run = (): Effect.Effect<object, BackendError.CallError | BackendError.SessionReplaced> => {
      if (pin === undefined) return backend.use(callback, { idempotent })
      const { generation, id } = pin
      const pinned = audience.pins.get(id)
      return pinned?.use(callback) ?? Effect.fail(new BackendError.SessionReplaced({ backend: backend.id, generation }))
    }
    const answer = (isError: boolean, what: object): Effect.Effect<Answer, BackendError.CallFailed> => {
      const json = JSON.stringify(what)
      if (json.length > longest) return Effect.fail(tooLong(backend.id, "answer"))
      return Effect.succeed({ _tag: "Answer", isError, json, told })
    }
    const answered = run().pipe(
      Effect.flatMap((result) => answer(false, result)),
      Effect.catchTag("CallFailed", (error) => {
        if (error.reason !== undefined || !Peer.isRpcError(error.cause)) return Effect.fail(error)
        const { code, data, message } = error.cause
        return answer(true, { code, data, message })
      })
    )
    return Effect.onExitPrimitive(answered, () => {
      asking.end()
      return undefined
    })
  })

/** Waits for a session as a call does, and tells which it is. */
export const meet = ({ audience, backend }: Kept): Effect.Effect<Session, BackendError.CallError | NotKept> =>
  backend
    .use((peer) => Promise.resolve(audience.of(peer)), { idempotent: true })
    .pipe(Effect.flatMap((session) => (session === undefined ? Effect.fail(new NotKept()) : Effect.succeed(session))))
