/**
 * A client of a backend that another process keeps: each of its requests is handed to the owner as it is, and so is the answer.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Request } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"
import { isCallError } from "./reach.ts"

/** Hands one request to the owner. */
export type Ask = (request: Request) => Effect.Effect<Answer, BackendError.CallError>

/** As `Backend.use` has it. */
export const using = (id: string, ask: Ask): Backend.Backend<Peer.Peer>["use"] => {
  return (callback, { idempotent = false } = {}) =>
    Effect.gen(function* () {
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const controller = new AbortController()
      let met: BackendError.CallError | undefined
      let ids = 0

      const request: Peer.Peer["request"] = ({ method, params }, { onAnswer, onId, signal } = {}) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted === true) return reject(signal.reason)
          onId?.(ids++)
          const json = params === undefined ? undefined : JSON.stringify(params)
          const fiber = fork(ask({ method, params: json, idempotent }))
          const abort = () => {
            fiber.interruptUnsafe()
            reject(signal?.reason)
          }
          signal?.addEventListener("abort", abort, { once: true })
          fiber.addObserver((exit) => {
            signal?.removeEventListener("abort", abort)
            if (Exit.isFailure(exit)) {
              const error: unknown = Cause.squash(exit.cause)
              if (isCallError(error)) met ??= error
              return reject(error)
            }
            onAnswer?.()
            const answer = JSON.parse(exit.value.json)
            if (exit.value.isError) reject(new Peer.RpcError(answer))
            else resolve(answer)
          })
        })
      const elsewhere = () => Promise.reject(new Error("Only requests are handed on to another process"))
      const peer: Peer.Peer = {
        request,
        notification: elsewhere,
        answer: elsewhere,
        connect: elsewhere,
        listen: () => () => {},
        close: () => Promise.resolve(),
        server: undefined,
        era: undefined,
        capabilities: undefined
      }
      const failed = (cause: unknown) =>
        new BackendError.CallFailed({
          backend: id,
          reason: undefined,
          code: Peer.isRpcError(cause) ? cause.code : undefined,
          retryAfter: undefined,
          cause
        })
      const called = yield* Effect.try({ try: () => callback(peer, controller.signal), catch: failed })
      // What the connection met is what the call fails with, whatever the callback made of it.
      const told = <A, E, R>(running: Effect.Effect<A, E, R>): Effect.Effect<A, E | BackendError.CallError, R> =>
        running.pipe(
          Effect.catchCause((cause): Effect.Effect<never, E | BackendError.CallError> =>
            met === undefined ? Effect.failCause(cause) : Effect.fail(met)
          ),
          Effect.onInterrupt(() => Effect.sync(() => controller.abort()))
        )
      if (Effect.isEffect(called)) return yield* told(called)
      return yield* told(Effect.tryPromise({ try: () => called, catch: failed }))
    })
}
