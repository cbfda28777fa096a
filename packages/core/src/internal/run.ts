/**
 * One run of a callback on one session.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { type Call, type RequestRecord, traceparent } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureReason } from "../FailureReason.ts"
import { stackless } from "./errors.ts"
import type { Ended } from "./judgement.ts"
import type { CallInFlight, OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"
import * as Tracing from "./tracing.ts"

/** Code of the user's that makes requests. */
export type Callback<Client, A, E, R> = (client: Client, signal: AbortSignal) => PromiseLike<A> | Effect.Effect<A, E, R>

/** Who is told of a run that has ended. */
export interface Listener {
  readonly ran: (requests: ReadonlyArray<RequestRecord>) => void
}

/** Runs the callback on the open session, once. Interruption aborts its signal, and interrupts it where it is an effect. */
export const runOnce = <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A, E, R>,
  startedAt: number,
  listener: Listener | undefined
): Effect.Effect<Ended<A, E>, never, R> =>
  Effect.callback<Ended<A, E>, never, R>((resume) => {
    const run = new Run<Client, A, E>(supervisor, open, startedAt, listener, (ended) => resume(Effect.succeed(ended)))
    run.begin(callback)
    return run.interrupted
  })

/** See the module. It ends once, and then calls `done`. */
export class Run<Client, A, E> implements CallInFlight {
  readonly startedAt: number
  readonly requests: ReadonlyArray<RequestRecord>
  readonly #supervisor: Supervisor<Client>
  readonly #open: OpenSession<Client>
  readonly #call: Call<Client>
  readonly #listener: Listener | undefined
  readonly #done: (ended: Ended<A, E>) => void
  readonly #caller: Fiber.Fiber<unknown, unknown> | undefined
  before: CallInFlight | undefined
  after: CallInFlight | undefined
  isIn = false
  #controller: AbortController | undefined
  #child: Fiber.Fiber<A, E> | undefined
  #isForking = false
  #abandoned: Ended<A, E> | undefined

  constructor(
    supervisor: Supervisor<Client>,
    open: OpenSession<Client>,
    startedAt: number,
    listener: Listener | undefined,
    done: (ended: Ended<A, E>) => void
  ) {
    this.#caller = Fiber.getCurrent()
    const span = this.#caller?.cache.span
    if (supervisor.policy.spans) Tracing.link(span, open)
    this.#supervisor = supervisor
    this.#open = open
    this.#listener = listener
    this.#done = done
    this.#call = open.session.call(span === undefined ? undefined : traceparent(span))
    this.startedAt = startedAt
    this.requests = this.#call.requests
  }

  begin<R>(callback: Callback<Client, A, E, R>): void {
    this.#open.calls.add(this)
    this.#supervisor.began(this.#open)
    try {
      // A controller costs as much as the rest of the guard: a callback that names the client alone gets none.
      if (callback.length !== 1) this.#controller = new AbortController()
      const result = callback(this.#call.client, this.#controller?.signal ?? never)
      if (Effect.isEffect(result)) {
        // what the callback did may have ended the session, and this run with it
        if (this.isIn) this.#fork(result)
      } else
        result.then(
          (value) => this.#settle({ _tag: "Ok", value }),
          (cause) => this.#threw(cause, undefined)
        )
    } catch (cause) {
      this.#threw(cause, undefined)
    }
  }

  /** In the context of the fiber that calls: what the effect needs, and what it says in spans and logs, is its own. */
  #fork<R>(effect: Effect.Effect<A, E, R>): void {
    // the type of `use` sees to it that the caller's context has what the callback needs
    const context = (this.#caller?.context ?? Context.empty()) as Context.Context<R>
    this.#isForking = true
    const child = Effect.runForkWith(context)(effect)
    this.#isForking = false
    this.#child = child
    child.addObserver((exit) => {
      if (Exit.isSuccess(exit)) this.#settle({ _tag: "Ok", value: exit.value })
      else this.#threw(Cause.squash(exit.cause), exit.cause)
    })
    if (this.#abandoned !== undefined) this.#giveUp(child, this.#abandoned)
  }

  /** The session is gone. */
  abandon(reason: FailureReason): void {
    const requests = snapshot(this.requests)
    this.#listener?.ran(requests)
    this.#end()
    const ended: Ended<A, E> = { _tag: "Abandoned", reason, requests }
    // what the effect does as it begins may end the session
    if (this.#isForking) this.#abandoned = ended
    else if (this.#child === undefined) this.#done(ended)
    else this.#giveUp(this.#child, ended)
  }

  /** The next run begins when this one has ended. */
  #giveUp(child: Fiber.Fiber<A, E>, ended: Ended<A, E>): void {
    child.interruptUnsafe()
    child.addObserver(() => this.#done(ended))
  }

  /** Its caller waits no longer. */
  get interrupted(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#leave()
      this.#listener?.ran(this.requests)
      this.#end()
      return this.#child === undefined ? Effect.void : Fiber.interrupt(this.#child)
    })
  }

  #threw(cause: unknown, failure: Cause.Cause<E> | undefined): void {
    const requests = snapshot(this.requests)
    this.#end()
    this.#settle({ _tag: "Threw", cause, failure, requests })
  }

  #settle(ended: Ended<A, E>): void {
    if (!this.#leave()) return
    this.#listener?.ran(this.requests)
    if (isAnswered(this.requests)) this.#supervisor.answered(this.#open)
    this.#done(ended)
  }

  /** False where the session has ended, or the run has. */
  #leave(): boolean {
    const open = this.#open
    if (!open.calls.delete(this)) return false
    if (this.#supervisor.policy.idleAfter !== "never") open.seen.call = this.#supervisor.now()
    this.#supervisor.released(open)
    return true
  }

  /** Whatever else the callback has begun: it must not go on beside the next run. */
  #end(): void {
    this.#call.end()
    this.#controller?.abort(over)
  }
}

/** Whether the server answered a request in a way that casts no doubt: also with an error, whatever the callback made of it. */
const isAnswered = (requests: ReadonlyArray<RequestRecord>): boolean => {
  for (const { evidence, fate } of requests) {
    if (fate === "answered" && evidence !== undefined && Evidence.ofCall(evidence) === undefined) return true
  }
  return false
}

/** What the requests had come to: what ends the call or its session changes the records. */
const snapshot = (requests: ReadonlyArray<RequestRecord>): ReadonlyArray<RequestRecord> =>
  requests.map((request) => ({ ...request }))

/** One for all: `abort` makes one with a stack for each, which costs more than the rest of what ends a call. */
const over = stackless(() => new DOMException("The call has ended", "AbortError"))

const never = new AbortController().signal
