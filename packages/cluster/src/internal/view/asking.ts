/**
 * One message on its way to whoever keeps the backend: it waits for an owner as long as nothing of it was written, and is never made again after that, unless
 * it may be.
 */
import { BackendError } from "@vmcp-keepalive/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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

/** Begins what runs beside whoever asks. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** How a message has ended. */
export type Ended = Exit.Exit<Answer, BackendError.CallError | BackendError.SessionReplaced>

/** Brings one message to the owner, and its answer back: `settled` is told once how that ended, unless it is interrupted by what this returns. */
export type Ask = (request: Request, fork: Fork, settled: (ended: Ended) => void) => () => void

/** See the module. */
export const ask =
  (options: Options): Ask =>
  (request, fork, settled) => {
    const asking = new Asking(options, request, fork, settled)
    asking.attempt()
    // bound, and no arrow function of its own: as in `elsewhere`
    return asking.interrupt.bind(asking)
  }

/**
 * One message. Each try is a fiber: an owner that ends interrupts whoever asked it, which is no interruption of the caller's. It is ended when nothing of it was
 * written for as long as it may wait; and where it was, when another process is seen to keep the backend.
 */
class Asking {
  readonly #options: Options
  readonly #request: Request
  readonly #fork: Fork
  readonly #settled: (ended: Ended) => void
  readonly #waiting: Waiting
  #trying: Fiber.Fiber<unknown, unknown> | undefined
  #looking: Fiber.Fiber<void> | undefined
  #isOver = false
  /** whether an owner had it, and did not answer */
  #isLost = false

  constructor(options: Options, request: Request, fork: Fork, settled: (ended: Ended) => void) {
    this.#options = options
    this.#request = request
    this.#fork = fork
    this.#settled = settled
    this.#waiting = options.patience.begin()
  }

  interrupt(): void {
    this.#end()
    this.#trying?.interruptUnsafe()
  }

  attempt(): void {
    const { id, isLeft, local, send } = this.#options
    const kept = local()
    if (kept !== undefined) {
      return this.#try(perform(kept, this.#request), (exit) => {
        const error = errorOf(exit)
        if (error === undefined || this.#waiting.isLate || !isLeft(error)) this.#settle(exit)
        else this.#again()
      })
    }
    if (this.#waiting.isLate) return this.#settle(Exit.fail(this.#isLost ? lost(id) : unkept(id)))
    const ticket: Ticket.State = { written: false }
    this.#waiting.onLate = this.#late.bind(this, ticket)
    this.#try(Effect.provideService(send(this.#request), Ticket.Ticket, ticket), (exit) => {
      this.#waiting.onLate = undefined
      this.#looking?.interruptUnsafe()
      this.#answered(exit, ticket)
    })
  }

  #late(ticket: Ticket.State): void {
    this.#looking = this.#fork(this.#look(ticket))
  }

  #try<E>(trying: Effect.Effect<Answer, E>, ended: (exit: Exit.Exit<Answer, E>) => void): void {
    const fiber = this.#fork(trying)
    this.#trying = fiber
    fiber.addObserver((exit) => {
      if (!this.#isOver) ended(exit)
    })
  }

  #answered(exit: Exit.Exit<Answer, unknown>, ticket: Ticket.State): void {
    if (Exit.isSuccess(exit)) return this.#settle(Exit.succeed(exit.value))
    const { id, isLeft } = this.#options
    const error = errorOf(exit)
    if (isAnswered(error) && !isLeft(error)) return this.#settle(Exit.fail(error))
    if (ClusterError.MailboxFull.is(error)) return this.#settle(Exit.fail(overloaded(id)))
    // What was refused is not executed, nor is what was not written; an answer that says neither has none.
    const isRefused = error !== undefined
    if (ticket.written && !isRefused) this.#isLost = true
    if (this.#isLost && !this.#request.idempotent) this.#settle(Exit.fail(lost(id)))
    else this.#again()
  }

  #again(): void {
    this.#trying = this.#fork(
      Effect.andThen(
        Effect.sleep(pause),
        Effect.sync(() => this.attempt())
      )
    )
  }

  /** One that has it while another one keeps the backend answers it no more, whatever has become of it. */
  #look(ticket: Ticket.State): Effect.Effect<void> {
    const { owner } = this.#options
    return Effect.gen({ self: this }, function* () {
      let others = 0
      while (ticket.written && others < 2) {
        yield* Effect.sleep(looking)
        const now = yield* owner
        others = now === undefined || ticket.to === undefined || now === ticket.to ? 0 : others + 1
      }
      this.#trying?.interruptUnsafe()
    })
  }

  #end(): void {
    this.#isOver = true
    this.#looking?.interruptUnsafe()
    this.#options.patience.end(this.#waiting)
  }

  #settle(ended: Ended): void {
    this.#end()
    this.#settled(ended)
  }
}

const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
