/**
 * The end of a connection at which the host is: what it sends is understood, what it has asked is under way until it is answered or
 * cancelled, and what it is told comes in order. What is at the other end, it does not know.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type About, type Deliver, Delivery } from "./delivery.ts"
import { Held } from "./held.ts"
import * as HostMessage from "./hostMessage.ts"

type Answered = Effect.Effect<Message.Result, Message.ErrorAnswer["error"]>

/** What is at the other end. */
export interface Far {
  /** Answers `initialize`. */
  readonly initialize: (params: Message.Params) => Answered
  /** Answers any other request; where `idempotent`, it may be made again when its outcome is unknown. */
  readonly ask: (request: Message.Request, idempotent: boolean) => Answered
  /** The host has answered a request of a server's. */
  readonly answered: (answer: Message.Answer) => void
  /** The host tells how far it is with one. */
  readonly progress: (token: Message.Id, notification: Message.Notification) => void
  /** The host tells something else. */
  readonly notify: (notification: Message.Notification) => void
}

/** What it is made of. */
export interface Options {
  readonly deliver: Deliver
  readonly context: Context.Context<never>
  readonly far: Far
  /** whether the host has initialized somewhere else, and is ready */
  readonly isOpen: boolean
}

/** A request of the host's that waits for its answer. */
interface UnderWay {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** ends the reading of the host's signal */
  readonly settled: (() => void) | undefined
}

/** See the module. */
export class HostEnd {
  readonly #far: Far
  readonly #delivery: Delivery
  readonly #context: Context.Context<never>
  readonly #held = new Held()
  readonly #underWay = new Map<Message.Id, UnderWay>()
  #phase: HostMessage.Phase = "new"

  constructor({ context, deliver, far, isOpen }: Options) {
    this.#far = far
    this.#delivery = new Delivery(deliver)
    this.#context = context
    if (isOpen) {
      this.#phase = "open"
      this.#held.release()
    }
  }

  get phase(): HostMessage.Phase {
    return this.#phase
  }

  // -------------------------------------------------------------------------------------------------- to the host

  tell(message: Message.Request | Message.Notification, about: About): void {
    if (this.#phase !== "closed" && !this.#held.hold(message, about)) this.#delivery.message(message, about)
  }

  /** The answer to that request of the host's has come: what is told now comes after it. */
  expect(id: Message.Id): void {
    this.#delivery.expect(id)
  }

  // ------------------------------------------------------------------------------------------------ from the host

  /** Takes a message of the host's, see `KeptPeer`. */
  readonly take = (value: unknown, { signal }: { readonly signal?: AbortSignal | undefined } = {}): void => {
    const meaning = HostMessage.read(value, this.#phase, (id) => this.#underWay.has(id))
    switch (meaning._tag) {
      case "Nothing":
        return
      case "Answered":
        return this.#delivery.answerLater(meaning.answer)
      case "Initialize":
        return this.#begin(meaning.id, this.#initialized(meaning.params), signal)
      case "Request":
        // also a host that has not said so
        this.#ready()
        return this.#begin(meaning.request.id, this.#far.ask(meaning.request, meaning.idempotent), signal)
      case "Cancelled":
        return this.#cancel(meaning.id)
      case "Initialized":
        return this.#ready()
      case "Answer":
        return this.#far.answered(meaning.answer)
      case "Progress":
        return this.#far.progress(meaning.token, meaning.notification)
      case "Notification":
        return this.#far.notify(meaning.notification)
    }
  }

  #ready(): void {
    for (const [message, about] of this.#held.release()) this.#delivery.message(message, about)
  }

  #initialized(params: Message.Params): Answered {
    this.#phase = "initializing"
    return this.#far.initialize(params).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          this.#phase = "open"
        })
      ),
      Effect.onError(() =>
        Effect.sync(() => {
          if (this.#phase === "initializing") this.#phase = "new"
        })
      )
    )
  }

  /** Runs what answers a request of the host's, which may be cancelled meanwhile. */
  #begin(id: Message.Id, answer: Answered, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) return
    const fiber = Effect.runForkWith(this.#context)(answer)
    const cancel = () => this.#cancel(id)
    signal?.addEventListener("abort", cancel, { once: true })
    const settled = signal && (() => signal.removeEventListener("abort", cancel))
    this.#underWay.set(id, { fiber, settled })
    let isTaken = false
    fiber.addObserver((exit) => {
      if (this.#underWay.get(id)?.fiber !== fiber) return
      this.#underWay.delete(id)
      settled?.()
      const answer: Message.Answer = Exit.isSuccess(exit)
        ? { jsonrpc: "2.0", id, result: exit.value }
        : { jsonrpc: "2.0", id, error: errorOf(exit.cause) }
      if (isTaken) this.#delivery.answer(answer)
      else this.#delivery.answerLater(answer)
    })
    isTaken = true
  }

  /** The host waits no longer: the request ends, and gets no answer. */
  #cancel(id: Message.Id): void {
    const underWay = this.#underWay.get(id)
    if (underWay === undefined) return
    this.#underWay.delete(id)
    underWay.settled?.()
    underWay.fiber.interruptUnsafe()
  }

  /** The host is gone: what it has asked is cancelled, and nothing more is told. */
  end(): void {
    this.#phase = "closed"
    for (const id of [...this.#underWay.keys()]) this.#cancel(id)
  }
}

/** JSON-RPC's code for what went wrong in here. */
const internalError = -32603

const errorOf = (cause: Cause.Cause<Message.ErrorAnswer["error"]>): Message.ErrorAnswer["error"] =>
  Option.getOrElse(Cause.findErrorOption(cause), () => ({ code: internalError, message: "Internal error" }))
