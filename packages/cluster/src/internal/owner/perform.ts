/**
 * A raw request, run through core where the session is: at most once, replayed only where that does no harm, judged by what the server did.
 */
import type { Backend, BackendError } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type { Answer } from "../protocol.ts"

export interface Request {
  readonly method: string
  /** as JSON */
  readonly params: string | undefined
  readonly idempotent: boolean
}

export const perform = (
  backend: Backend.Backend<Peer.Peer>,
  { idempotent, method, params }: Request
): Effect.Effect<Answer, BackendError.CallError> => {
  const question = { method, params: params === undefined ? undefined : JSON.parse(params) }
  return backend
    .use((peer, signal) => peer.request(question, { signal }), { idempotent })
    .pipe(
      Effect.map((result): Answer => ({ _tag: "Answer", isError: false, json: JSON.stringify(result) })),
      Effect.catchTag("CallFailed", (error) => {
        if (error.reason !== undefined || !Peer.isRpcError(error.cause)) return Effect.fail(error)
        const { code, data, message } = error.cause
        return Effect.succeed<Answer>({ _tag: "Answer", isError: true, json: JSON.stringify({ code, data, message }) })
      })
    )
}
