/**
 * The side of a kept connection that its host sees: it takes the host's messages in the order of a connection of MCP, runs what answers
 * its requests, and delivers what it is told. What a request means to a server is the {@link Port}'s matter.
 */
import { Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type Deliver, Delivery } from "./delivery.ts"
import { Held } from "./held.ts"
import * as HostMessage from "./hostMessage.ts"

/** An error as the host gets it. */
type ErrorOfAnswer = Message.ErrorAnswer["error"]

/** Who answers a host. */
export interface Port {
  /** the host's `initialize`, with its own parameters */
  readonly initialize: (params: Message.Params) => Effect.Effect<Message.Result, ErrorOfAnswer>
  /**
   * Any other request. `onAnswer` is to be called when the server's answer has come, before anything that came after it is delivered.
   * Where `idempotent`, it may be sent again when its outcome is unknown.
   */
  readonly ask: (
    request: Message.Request,
    idempotent: boolean,
    onAnswer: () => void
  ) => Effect.Effect<Message.Result, ErrorOfAnswer>
  /** the host's answer to a request that it was delivered */
  readonly answer: (answer: Message.Answer) => void
  /** how far the host is with such a request */
  readonly progress: (token: Message.Id, notification: Message.Notification) => void
  readonly notify: (notification: Message.Notification) => void
}

/** A request of the host's that waits for its answer. */
interface UnderWay {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** ends the reading of the host's signal */
  readonly settled: (() => void) | undefined
}

/** See the module. */
export class HostSide {
  readonly #port: Port
  readonly #delivery: Delivery
  readonly #context: Context.Context<never>
  readonly #held = new Held()
  readonly #underWay = new Map<Message.Id, UnderWay>()
  #phase: HostMessage.Phase = "new"

  constructor(port: Port, deliver: Deliver, context: Context.Context<never>) {
    this.#port = port
    this.#delivery = new Delivery(deliver)
    this.#context = context
  }

  get isClosed(): boolean {
    return this.#phase === "closed"
  }

  /** The host has initialized elsewhere, and is ready. */
  open(): void {
    this.#phase = "open"
    this.#held.release()
  }

  /** Takes a message of the host's; an abort of the signal cancels the request. */
  take(value: unknown, signal: AbortSignal | undefined): void {
    const meaning = HostMessage.read(value, this.#phase, (id) => this.#underWay.has(id))
    switch (meaning._tag) {
      case "Nothing":
        return
      case "Answered":
        return this.#delivery.answerLater(meaning.answer)
      case "Initialize":
        this.#phase = "initializing"
        return this.#begin(meaning.id, this.#initialized(meaning.params), signal)
      case "Request": {
        // also a host that has not said so
        this.#ready()
        const { idempotent, request } = meaning
        const ask = this.#port.ask(request, idempotent, () => this.#delivery.expect(request.id))
        return this.#begin(request.id, ask, signal)
      }
      case "Cancelled":
        return this.#cancel(meaning.id)
      case "Initialized":
        return this.#ready()
      case "Answer":
        return this.#port.answer(meaning.answer)
      case "Progress":
        return this.#port.progress(meaning.token, meaning.notification)
      case "Notification":
        return this.#port.notify(meaning.notification)
    }
  }

  /** What the host is told; it waits until the host has said that it is ready. */
  tell(message: Message.Request | Message.Notification, about: Requests.About = {}): void {
    if (this.#phase !== "closed" && !this.#held.hold(message, about)) this.#delivery.message(message, about)
  }

  /** Nothing is delivered any more, and what the host has asked is cancelled. */
  end(): void {
    this.#phase = "closed"
    for (const id of [...this.#underWay.keys()]) this.#cancel(id)
  }

  #initialized(params: Message.Params): Effect.Effect<Message.Result, ErrorOfAnswer> {
    return this.#port.initialize(params).pipe(
      Effect.tap(() => Effect.sync(() => this.#moved("open"))),
      Effect.onError(() => Effect.sync(() => this.#moved("new")))
    )
  }

  #moved(phase: HostMessage.Phase): void {
    if (this.#phase === "initializing") this.#phase = phase
  }

  #ready(): void {
    for (const [message, about] of this.#held.release()) this.#delivery.message(message, about)
  }

  /** Runs what answers a request of the host's, which may be cancelled meanwhile. */
  #begin(id: Message.Id, answer: Effect.Effect<Message.Result, ErrorOfAnswer>, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) return this.#moved("new")
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
}

/** JSON-RPC's code for what went wrong in here. */
const internalError = -32603

const errorOf = (cause: Cause.Cause<ErrorOfAnswer>): ErrorOfAnswer =>
  Option.getOrElse(Cause.findErrorOption(cause), () => ({ code: internalError, message: "Internal error" }))
