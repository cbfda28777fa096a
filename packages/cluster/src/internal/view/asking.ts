/**
 * One message on its way to whoever keeps the backend: it waits for an owner as long as nothing of it was written, and is never made again after that, unless
 * it may be.
 */
import { BackendError } from "@vmcp-keepalive/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ClusterError } from "effect/cluster"
import * as Ticket from "../once/ticket.ts"
import { type Kept, perform, type Request } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"
import type { Patience, Waiting } from "./patience.ts"
import { isAnswered, unkept } from "./reach.ts"

/** between two tries */
const pause = "100 millis"
/** between two looks at who keeps the backend, while an answer is waited for for long */
const looking = "3 seconds"

export interface Options {
  readonly id: string
  /** for how long an owner is waited for */
  readonly patience: Patience
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

/**
 * How what is handed to the engine ends: in a fiber of its own, since an owner that ends interrupts whoever asked it, which is no interruption of the caller's. It
 * is ended when nothing of it was written for as long as it may wait; and where it was, when another process is seen to keep the backend.
 */
const sent = <A>(
  asking: Effect.Effect<A, unknown>,
  waiting: Waiting,
  ticket: Ticket.State,
  owner: Options["owner"]
): Effect.Effect<Exit.Exit<A, unknown>> =>
  Effect.withFiber(({ context }) =>
    Effect.callback((resume) => {
      const fork = Effect.runForkWith(context)
      const fiber = fork(asking)
      let watching: Fiber.Fiber<unknown> | undefined
      const look = Effect.gen(function* () {
        // One that has it while another one keeps the backend answers it no more, whatever has become of it.
        let others = 0
        while (ticket.written && others < 2) {
          yield* Effect.sleep(looking)
          const now = yield* owner
          others = now === undefined || ticket.to === undefined || now === ticket.to ? 0 : others + 1
        }
        fiber.interruptUnsafe()
      })
      waiting.onLate = () => void (watching = fork(look))
      fiber.addObserver((exit) => {
        waiting.onLate = undefined
        watching?.interruptUnsafe()
        resume(Effect.succeed(exit))
      })
      return Fiber.interrupt(fiber)
    })
  )

/** Brings one message to the owner, and its answer back. */
export type Ask = (request: Request) => Effect.Effect<Answer, BackendError.CallError | BackendError.SessionReplaced>

export const ask =
  ({ id, isLeft, local, owner, patience, send }: Options): Ask =>
  (request) =>
    Effect.suspend(() => {
      const waiting = patience.begin()
      const asking = Effect.gen(function* () {
        while (true) {
          const kept = local()
          if (kept !== undefined) {
            const answer = yield* Effect.result(perform(kept, request))
            if (Result.isSuccess(answer)) return answer.success
            if (waiting.isLate || !isLeft(answer.failure)) return yield* Effect.fail(answer.failure)
            yield* Effect.sleep(pause)
            continue
          }
          if (waiting.isLate) return yield* Effect.fail(unkept(id))

          const ticket: Ticket.State = { written: false }
          const asked = Effect.provideService(send(request), Ticket.Ticket, ticket)
          const exit = yield* sent(asked, waiting, ticket, owner)
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
      return Effect.onExitPrimitive(asking, () => void patience.end(waiting))
    })
