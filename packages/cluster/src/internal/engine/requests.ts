/**
 * The engine's `Runners` without its RPC client: what is asked of another process is one message on the connection, and each answer another one. It says what
 * the engine's own says, which puts one request into another, each with a fiber, a scope and schemas of its own, and takes a multiple of the time.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as RcMap from "effect/RcMap"
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
import { type Rpc, RpcClient } from "effect/rpc"
import type { FromClientEncoded, FromServerEncoded } from "effect/rpc/RpcMessage"
import * as Address from "../address.ts"
import * as Wire from "./wire.ts"

/** A connection that is not used is closed after this. */
const idle = "3 minutes"
/** How many answers to one request wait at most: an owner tells more only when the last was taken. */
const mostAnswers = 16
/** How long it may take to tell the owner that an answer is not waited for any more. */
const telling = "1 second"

/** What an owner says to a request; `undefined`: nothing more. */
type Answer = Extract<FromServerEncoded, { readonly _tag: "Chunk" | "Exit" }> | undefined

/** By which a connection knows who uses it: nobody else does. */
const client = 0

/** What comes for one request, taken one by one. In the step in which it comes: a queue would have it taken in one of its own. */
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
const connection = (made: Effect.Effect<RpcClient.Protocol["Service"], never, Scope.Scope>) =>
  Effect.gen(function* () {
    const waiting = new Map<number, Answers>()
    let ids = 0
    let isBroken = false
    const open = Latch.makeUnsafe()
    const lost = () => {
      const all = [...waiting.values()]
      waiting.clear()
      for (const answers of all) answers.offer(undefined)
    }
    const protocol = yield* Effect.provideService(made, RpcClient.ConnectionHooks, {
      onConnect: Effect.sync(() => {
        isBroken = false
        open.openUnsafe()
      }),
      onDisconnect: Effect.sync(() => void open.closeUnsafe())
    })
    const received = (response: FromServerEncoded) => {
      if (response._tag === "ClientProtocolError") isBroken = true
      // It has broken, or one of the two does not understand the other.
      if (response._tag === "ClientProtocolError" || response._tag === "Defect") return lost()
      if (response._tag !== "Chunk" && response._tag !== "Exit") return
      const id = Number(response.requestId)
      const answers = waiting.get(id)
      if (response._tag === "Exit") waiting.delete(id)
      answers?.offer(response)
    }
    yield* Effect.addFinalizer(() => Effect.sync(lost))
    yield* Effect.forkScoped(protocol.run(client, (response) => Effect.sync(() => received(response))))

    const send = (message: FromClientEncoded) => protocol.send(client, message)
    /** What comes for a request is given to `take`, which says whether it was the last. */
    const ask = <E>(tag: string, payload: unknown, take: (answer: Answer) => Effect.Effect<boolean, E>) =>
      Effect.suspend(() => {
        if (isBroken) return Effect.asVoid(take(undefined))
        const id = ids++
        const answers = new Answers()
        waiting.set(id, answers)
        const next: Effect.Effect<void, E> = Effect.flatMap(Effect.flatMap(answers.take, take), (isLast) =>
          isLast ? Effect.void : next
        )
        const asking = Effect.andThen(send({ _tag: "Request", id, tag, payload, headers: [] }), next)
        // Nothing is handed to a connection that is not there: it would keep it for the next one, when another owner is asked already.
        const opening = Effect.raceFirst(Effect.as(open.await, true), Effect.as(answers.take, false))
        const begun = open.isOpen()
          ? asking
          : Effect.flatMap(opening, (isOpen) => (isOpen ? asking : Effect.asVoid(take(undefined))))
        // Whatever has ended it, the owner need not go on.
        return Effect.ensuring(
          begun,
          Effect.suspend(() => {
            if (!waiting.delete(id) || !open.isOpen()) return Effect.void
            return Effect.ignore(Effect.timeout(send({ _tag: "Interrupt", requestId: id }), telling))
          })
        )
      })
    /** Tells what is not answered: where there is no connection nobody has anything that it could concern. */
    const tell = (tag: string, payload: unknown) =>
      Effect.suspend(() =>
        open.isOpen()
          ? Effect.ignore(send({ _tag: "Request", id: "", tag, payload, headers: [], isNotification: true }))
          : Effect.void
      )
    return { ask, tell, lost }
  })

type Connection = Effect.Success<ReturnType<typeof connection>>

/** `grace`: for how long one that has left may still answer what it has begun. After that nothing of it is waited for, though its socket be open. */
export const make: (
  grace: Duration.Duration
) => Effect.Effect<
  Runners.Runners["Service"],
  never,
  | Scope.Scope
  | Runners.RpcClientProtocol
  | MessageStorage.MessageStorage
  | Snowflake.Generator
  | ShardingConfig.ShardingConfig
> = Effect.fnUntraced(function* (grace) {
  const protocols = yield* Runners.RpcClientProtocol
  const snowflakes = yield* Snowflake.Generator
  const scope = yield* Effect.scope
  /** those that are open, by the names of the processes */
  const open = new Map<string, Set<Connection>>()
  const opened = (address: RunnerAddress.RunnerAddress) =>
    Effect.gen(function* () {
      const name = Address.format(address)
      const made = yield* connection(protocols.make(address))
      const all = open.get(name) ?? new Set()
      open.set(name, all.add(made))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => void (all.delete(made) && all.size === 0 && open.delete(name)))
      )
      return made
    })
  const connections = yield* RcMap.make({ lookup: opened, idleTimeToLive: idle })
  const connected = (address: RunnerAddress.RunnerAddress) => RcMap.get(connections, address)
  const unavailable = (address: RunnerAddress.RunnerAddress) =>
    Effect.suspend(() => Effect.fail(new ClusterError.RunnerUnavailable({ address })))

  const request = <R extends Rpc.Any>(address: RunnerAddress.RunnerAddress, message: Message.OutgoingRequest<R>) => {
    const { envelope } = message
    /** A defect is an answer: it is not asked again. */
    const die = (defect: unknown) =>
      message.respond(
        new Reply.WithExit<R>({ id: snowflakes.nextUnsafe(), requestId: envelope.requestId, exit: Exit.die(defect) })
      )
    const deliver = (reply: unknown) => Effect.flatMap(Effect.orDie(Wire.answered(message, reply)), message.respond)
    const isStream = Wire.streams.has(envelope.tag)

    const take = (answer: Answer): Effect.Effect<boolean, Wire.Refusal | ClusterError.RunnerUnavailable> => {
      if (answer === undefined) return unavailable(address)
      if (answer._tag === "Chunk") return Effect.as(Effect.forEach(answer.values, deliver, { discard: true }), false)
      if (answer.exit._tag === "Success") return Effect.as(isStream ? Effect.void : deliver(answer.exit.value), true)
      return Effect.flatMap(Effect.orDie(Wire.end(answer.exit)), (exit) => Effect.as(exit, true))
    }
    return Effect.scoped(
      Effect.flatMap(connected(address), ({ ask }) =>
        Effect.flatMap(Wire.payload(message), (payload) =>
          ask(isStream ? "Stream" : "Effect", Wire.asked(message, payload), take)
        )
      )
    ).pipe(
      Effect.catchTag("RpcClientError", () => unavailable(address)),
      Effect.catchTag("SchemaError", die),
      Effect.catchDefect(die)
    )
  }

  return yield* Runners.make({
    codecFor: Wire.codecFor,
    ping: (address) =>
      Effect.scoped(
        Effect.flatMap(connected(address), ({ ask }) =>
          ask("Ping", null, (answer) =>
            answer?._tag === "Exit" && answer.exit._tag === "Success" ? Effect.succeed(true) : unavailable(address)
          )
        )
      ).pipe(
        // what does not answer is connected to anew
        Effect.catchCause(() => Effect.andThen(RcMap.invalidate(connections, address), unavailable(address)))
      ),
    send: ({ address, message }) => {
      if (message._tag === "OutgoingRequest") return request(address, message)
      const payload = Wire.concerning.encode({ envelope: message.envelope, persisted: false })
      return Effect.scoped(Effect.flatMap(connected(address), ({ tell }) => tell("Envelope", payload)))
    },
    // only of what is stored
    notify: () => Effect.die(new Error("Nothing is stored")),
    onRunnerUnavailable: (address) =>
      Effect.suspend(() => {
        const left = [...(open.get(Address.format(address)) ?? [])]
        const over = Effect.andThen(
          Effect.sleep(grace),
          Effect.sync(() => left.forEach(({ lost }) => lost()))
        )
        return Effect.andThen(RcMap.invalidate(connections, address), Effect.forkIn(over, scope))
      })
  })
})
