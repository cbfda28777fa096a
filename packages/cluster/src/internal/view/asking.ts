/**
 * One request on its way to whoever keeps the backend: it waits for an owner as long as nothing of it was written, and is never made again after that, unless
 * it may be.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ticket from "../once/ticket.ts"
import { perform, type Request } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"
import { isCallError, unkept } from "./reach.ts"

/** between two tries */
const pause = "100 millis"

export interface Options {
  readonly id: string
  /** for how long an owner is waited for */
  readonly patience: Duration.Duration
  readonly local: () => Backend.Backend<Peer.Peer> | undefined
  /** hands it to the engine */
  readonly send: (request: Request) => Effect.Effect<Answer, unknown>
}

/** that the owner had it and is gone */
const lost = (backend: string) =>
  new BackendError.OutcomeUnknown({
    backend,
    generation: 0,
    reason: "reset",
    detail: { summary: "the process that kept it is gone", output: [] },
    retryAfter: undefined
  })

const monotonic = Effect.map(Clock.monotonicTimeNanos, (now) => Number(now) / 1e6)

export const ask =
  ({ id, local, patience, send }: Options) =>
  (request: Request): Effect.Effect<Answer, BackendError.CallError> =>
    Effect.gen(function* () {
      const until = (yield* monotonic) + Duration.toMillis(patience)
      while (true) {
        const backend = local()
        if (backend !== undefined) return yield* perform(backend, request)
        const left = until - (yield* monotonic)
        if (left <= 0) return yield* Effect.fail(unkept(id))

        const ticket: Ticket.State = { written: false }
        // An owner that ends interrupts whoever asked it: in a fiber of its own that is no interruption of the caller's.
        const fiber = yield* Effect.forkChild(Effect.provideService(send(request), Ticket.Ticket, ticket), {
          startImmediately: true
        })
        const settling = Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
        const first = yield* Effect.timeoutOption(Fiber.await(fiber), left).pipe(
          Effect.onInterrupt(() => Fiber.interrupt(fiber))
        )
        if (Option.isNone(first) && !ticket.written) yield* Fiber.interrupt(fiber)
        const exit = Option.getOrUndefined(first) ?? (yield* settling)
        if (Exit.isSuccess(exit)) return exit.value
        const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        if (isCallError(error)) return yield* Effect.fail(error)
        // What was refused is not executed, nor is what was not written; an answer that says neither has none.
        const isRefused = error !== undefined
        if (ticket.written && !isRefused && !request.idempotent) return yield* Effect.fail(lost(id))
        yield* Effect.sleep(pause)
      }
    })
