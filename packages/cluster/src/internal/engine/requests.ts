/**
 * The engine's `Runners` without its RPC: what is asked of another process is one message on a connection, and each answer another one. The engine's own puts
 * one request into another, each with a fiber, a scope and schemas of its own, and takes a multiple of the time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import {
  ClusterError,
  type Message,
  type MessageStorage,
  Reply,
  type RunnerAddress,
  Runners,
  type ShardingConfig,
  Snowflake
} from "effect/cluster"
import type { Rpc } from "effect/rpc"
import * as Address from "../address.ts"
import * as Ticket from "../once/ticket.ts"
import * as Connections from "./connections.ts"
import type { Connection, Hearer } from "./link.ts"
import * as Wire from "./wire.ts"

/** A connection over which nothing was asked for this long is closed, in milliseconds. */
const idle = 180_000
/** How often it is looked for those. */
const looking = "30 seconds"
/** How many answers to one request wait at most: an owner tells more only when the last was taken. */
const mostAnswers = 16

/** What an owner says to a request; `undefined`: nothing more. */
type Answer = Wire.Said | undefined

/** What comes for one request, taken one by one, in the step in which it comes. */
class Answers {
  readonly #waiting: Array<Answer> = []
  #take: ((answer: Effect.Effect<Answer>) => void) | undefined

  offer(answer: Answer): void {
    const take = this.#take
    this.#take = undefined
    if (take !== undefined) return take(Effect.succeed(answer))
    // whoever tells more than it may is not listened to any longer
    if (this.#waiting.length <= mostAnswers) this.#waiting.push(this.#waiting.length < mostAnswers ? answer : undefined)
  }

  readonly take: Effect.Effect<Answer> = Effect.callback((resume) => {
    if (this.#waiting.length > 0) resume(Effect.succeed(this.#waiting.shift()))
    else this.#take = resume
    // whoever does not wait any more takes nothing away
    return Effect.sync(() => void (this.#take = undefined))
  })
}

/** One connection, and who waits for what comes on it. */
class Asking implements Hearer {
  readonly #connection: Connection
  readonly #waiting = new Map<number, Answers>()
  readonly #now: () => number
  readonly #over: () => void
  #ids = 0
  #state: "opening" | "open" | "over" = "opening"
  #isRetired = false
  #usedAt: number
  /** who waits until it is open, or is not to be */
  #whenDecided: Array<() => void> = []

  constructor(open: (hearer: Hearer) => Connection, now: () => number, over: () => void) {
    this.#now = now
    this.#over = over
    this.#usedAt = now()
    this.#connection = open(this)
  }

  // Bound, as it is handed on.
  readonly opened = (): void => {
    this.#state = "open"
    this.#decided()
  }

  readonly ended = (): void => {
    if (this.#state === "over") return
    this.#state = "over"
    this.#over()
    this.#decided()
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const answers of all) answers.offer(undefined)
  }

  readonly received = (message: unknown): void => {
    // whose answers cannot be read is not waited for
    if (!Wire.isSaid(message)) return this.end()
    const answers = this.#waiting.get(message.requestId)
    if (message._tag !== "Chunk") this.#forget(message.requestId)
    answers?.offer(message)
  }

  #decided(): void {
    for (const decided of this.#whenDecided.splice(0)) decided()
  }

  #forget(id: number): boolean {
    const wasAsked = this.#waiting.delete(id)
    this.#usedAt = this.#now()
    if (this.#isRetired && this.#waiting.size === 0) this.end()
    return wasAsked
  }

  /** Nobody has asked anything for so long. */
  isIdle(since: number): boolean {
    return this.#waiting.size === 0 && this.#usedAt <= since
  }

  /** Nothing new is asked over it; what is under way may still be answered. */
  retire(): void {
    this.#isRetired = true
    if (this.#waiting.size === 0) this.end()
  }

  /** Whoever waits is told that nothing more comes. */
  end(): void {
    this.#connection.end()
    this.ended()
  }

  /** Asks, once it is open; what comes is given to `take`, which says whether it was the last. `sent` is called when it is handed to the socket. */
  ask<E>(
    questionOf: (id: number) => Effect.Effect<Wire.Question, E>,
    sent: () => void,
    take: (answer: Answer) => Effect.Effect<boolean, E>
  ): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const id = this.#ids++
      const answers = new Answers()
      this.#waiting.set(id, answers)
      const next: Effect.Effect<void, E> = Effect.flatMap(Effect.flatMap(answers.take, take), (isLast) =>
        isLast ? Effect.void : next
      )
      const begun = Effect.flatMap(questionOf(id), (question) => {
        if (this.#state !== "open" || !this.#send(question)) answers.offer(undefined)
        else sent()
        return next
      })
      return Effect.onExitPrimitive(this.#state === "opening" ? Effect.andThen(this.#decision, begun) : begun, () => {
        // Whatever has ended it, the owner need not go on.
        if (this.#forget(id)) this.#send({ _tag: "Interrupt", requestId: id })
        return undefined
      })
    })
  }

  get isOfOtherVersion(): boolean {
    return this.#connection.stranger === "other version"
  }

  /** Tells what is not answered: where there is no connection nobody has anything that it could concern. */
  tell(payload: unknown): void {
    this.#send({ _tag: "Request", tag: "Envelope", payload })
  }

  #send(question: Wire.Question): boolean {
    return this.#connection.send(question)
  }

  readonly #decision = Effect.callback<void>((resume) => {
    this.#whenDecided.push(() => resume(Effect.void))
  })
}

/** `grace`: for how long one that has left may still answer what it has begun. After that nothing of it is waited for, though its socket be open. */
export const make: (
  grace: Duration.Duration
) => Effect.Effect<
  Runners.Runners["Service"],
  never,
  | Scope.Scope
  | Connections.Connections
  | MessageStorage.MessageStorage
  | Snowflake.Generator
  | ShardingConfig.ShardingConfig
> = Effect.fnUntraced(function* (grace) {
  const { open } = yield* Connections.Connections
  const snowflakes = yield* Snowflake.Generator
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const scope = yield* Effect.scope
  /** over which new requests go, by the names of the processes */
  const current = new Map<string, Asking>()
  const all = new Set<Asking>()
  yield* Effect.addFinalizer(() => Effect.sync(() => all.forEach((each) => each.end())))
  const connected = (address: RunnerAddress.RunnerAddress): Asking => {
    const name = Address.format(address)
    const known = current.get(name)
    if (known !== undefined) return known
    const made: Asking = new Asking(
      (hearer) => open(address, hearer),
      now,
      () => {
        all.delete(made)
        if (current.get(name) === made) current.delete(name)
      }
    )
    all.add(made)
    current.set(name, made)
    return made
  }
  /** What is asked from now on goes over another connection. */
  const replace = (address: RunnerAddress.RunnerAddress): Asking | undefined => {
    const name = Address.format(address)
    const made = current.get(name)
    current.delete(name)
    made?.retire()
    return made
  }
  const closeIdle = Effect.sync(() => {
    for (const each of all) if (each.isIdle(now() - idle)) each.end()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(closeIdle, looking)))
  const unavailable = (address: RunnerAddress.RunnerAddress) =>
    Effect.suspend(() => Effect.fail(new ClusterError.RunnerUnavailable({ address })))

  const request = <R extends Rpc.Any>(address: RunnerAddress.RunnerAddress, message: Message.OutgoingRequest<R>) => {
    const { envelope } = message
    /** A defect is an answer: it is not asked again. */
    const die = (defect: unknown) =>
      message.respond(
        new Reply.WithExit<R>({ id: snowflakes.nextUnsafe(), requestId: envelope.requestId, exit: Exit.die(defect) })
      )
    let isAnswered = false
    const deliver = (reply: unknown) =>
      Effect.flatMap(Effect.orDie(Wire.answered(message, reply)), (answer) => {
        if (answer._tag === "WithExit") isAnswered = true
        return message.respond(answer)
      })
    const isStream = Wire.streams.has(envelope.tag)
    /** The schema of the answer was that of this request, by its tag. */
    const succeed = (value: unknown) => {
      const exit: Rpc.Exit<R> = Exit.succeed(value as Rpc.SuccessExit<R>)
      return message.respond(new Reply.WithExit<R>({ id: envelope.requestId, requestId: envelope.requestId, exit }))
    }

    const take = (answer: Answer): Effect.Effect<boolean, Wire.Refusal | ClusterError.RunnerUnavailable> => {
      if (answer === undefined) return unavailable(address)
      if (answer._tag === "Chunk") return Effect.as(Effect.forEach(answer.values, deliver, { discard: true }), false)
      if (answer._tag === "Answer") return Effect.as(succeed(answer.answer), true)
      const { exit } = answer
      if (exit._tag === "Success")
        return Effect.map(isStream ? Effect.void : deliver(exit.value), () => {
          // whoever asks would wait for ever: it becomes a defect
          if (!isAnswered) throw new Error("The answer ends nothing")
          return true
        })
      return Effect.flatMap(Effect.orDie(Wire.end(exit)), (ended) => Effect.as(ended, true))
    }
    return Effect.withFiber((fiber) => {
      const ticket = Context.getOrUndefined(fiber.context, Ticket.Ticket)
      const sent = () => {
        if (ticket !== undefined) ticket.written = true
      }
      return connected(address).ask<Wire.Refusal | ClusterError.RunnerUnavailable | Schema.SchemaError>(
        (id) => Wire.asked(id, message),
        sent,
        take
      )
    }).pipe(Effect.catchTag("SchemaError", die), Effect.catchDefect(die))
  }

  return yield* Runners.make({
    codecFor: Wire.codecFor,
    ping: (address) =>
      Effect.suspend(() => {
        const asking = connected(address)
        const asked = asking.ask(
          (id) => Effect.succeed({ _tag: "Request", id, tag: "Ping", payload: null }),
          () => {},
          (answer) =>
            answer?._tag === "Exit" && answer.exit._tag === "Success" ? Effect.succeed(true) : unavailable(address)
        )
        return Effect.catchCause(asked, () => {
          // one of another version lives, and keeps what it keeps until it hands that over
          if (asking.isOfOtherVersion) return Effect.void
          // what does not answer is connected to anew
          replace(address)
          return unavailable(address)
        })
      }),
    send: ({ address, message }) => {
      if (message._tag === "OutgoingRequest") return request(address, message)
      return Effect.sync(() =>
        connected(address).tell(Wire.concerning.encode({ envelope: message.envelope, persisted: false }))
      )
    },
    // only of what is stored
    notify: () => Effect.die(new Error("Nothing is stored")),
    onRunnerUnavailable: (address) =>
      Effect.suspend(() => {
        const left = replace(address)
        if (left === undefined) return Effect.void
        const over = Effect.andThen(
          Effect.sleep(grace),
          Effect.sync(() => left.end())
        )
        return Effect.forkIn(over, scope)
      })
  })
})
