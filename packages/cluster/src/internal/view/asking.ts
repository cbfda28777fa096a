/**
 * One message on its way to whoever keeps the backend: it waits for an owner as long as nothing of it was written, and is never made again after that, unless
 * it may be.
 */
import { BackendError } from "@vmcp-keepalive/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ClusterError } from "effect/cluster"
import * as Ticket from "../once/ticket.ts"
import { type Kept, perform, type Request } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"
import { isAnswered, unkept } from "./reach.ts"

/** between two tries */
const pause = "100 millis"
/** between two looks at who keeps the backend, while an answer is waited for for long */
const looking = "3 seconds"

export interface Options {
  readonly id: string
  /** for how long an owner is waited for */
  readonly patience: Duration.Duration
  /** what this process keeps itself */
  readonly local: () => Kept | undefined
  /** Whether it says that the backend has ended where it was kept, and goes on elsewhere. */
  readonly isLeft: (error: unknown) => boolean
  /** the address of whoever keeps it now, where that is told in a moment */
  readonly owner: Effect.Effect<string | undefined>
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

/** that the owner has as much in hand as it takes */
const overloaded = (backend: string) =>
  new BackendError.CallRejected({
    backend,
    state: "Connected",
    reason: "overloaded",
    detail: { summary: "the process that keeps it has too much under way", output: [] },
    retryAfter: undefined
  })

const monotonic = Effect.map(Clock.monotonicTimeNanos, (now) => Number(now) / 1e6)

/** Brings one message to the owner, and its answer back. */
export type Ask = (request: Request) => Effect.Effect<Answer, BackendError.CallError | BackendError.SessionReplaced>

export const ask =
  ({ id, isLeft, local, owner, patience, send }: Options): Ask =>
  (request) =>
    Effect.gen(function* () {
      const until = (yield* monotonic) + Duration.toMillis(patience)
      while (true) {
        const kept = local()
        const left = until - (yield* monotonic)
        if (kept !== undefined) {
          const answer = yield* Effect.result(perform(kept, request))
          if (Result.isSuccess(answer)) return answer.success
          if (left <= 0 || !isLeft(answer.failure)) return yield* Effect.fail(answer.failure)
          yield* Effect.sleep(pause)
          continue
        }
        if (left <= 0) return yield* Effect.fail(unkept(id))

        const ticket: Ticket.State = { written: false }
        // An owner that ends interrupts whoever asked it: in a fiber of its own that is no interruption of the caller's.
        const fiber = yield* Effect.forkChild(Effect.provideService(send(request), Ticket.Ticket, ticket), {
          startImmediately: true
        })
        const watch = Effect.gen(function* () {
          yield* Effect.sleep(left)
          // One that has it while another one keeps the backend answers it no more, whatever has become of it.
          let others = 0
          while (ticket.written && others < 2) {
            yield* Effect.sleep(looking)
            const now = yield* owner
            others = now === undefined || ticket.to === undefined || now === ticket.to ? 0 : others + 1
          }
          yield* Fiber.interrupt(fiber)
        })
        const watching = yield* Effect.forkChild(watch, { startImmediately: true })
        const exit = yield* Fiber.await(fiber).pipe(
          Effect.onInterrupt(() => Fiber.interrupt(fiber)),
          Effect.ensuring(Effect.sync(() => watching.interruptUnsafe()))
        )
        if (Exit.isSuccess(exit)) return exit.value
        const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        if (isAnswered(error) && !isLeft(error)) return yield* Effect.fail(error)
        if (ClusterError.MailboxFull.is(error)) return yield* Effect.fail(overloaded(id))
        // What was refused is not executed, nor is what was not written; an answer that says neither has none.
        const isRefused = error !== undefined
        if (ticket.written && !isRefused && !request.idempotent) return yield* Effect.fail(lost(id))
        yield* Effect.sleep(pause)
      }
    })
