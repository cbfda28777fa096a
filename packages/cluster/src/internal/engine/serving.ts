/**
 * The other end of `requests.ts`: the engine's `RunnerServer` without its RPC server. What another process asks is handed to the engine, and each answer of an
 * entity is one message on the connection.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { ClusterError, Message, Reply, Sharding } from "effect/cluster"
import { type Rpc, RpcServer } from "effect/rpc"
import * as Tracer from "effect/Tracer"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import { Places } from "../owner/owner.ts"
import { call } from "../owner/place.ts"
import { Call } from "../protocol.ts"
import * as Wire from "./wire.ts"

/** What one process has under way here, by the ids that it gave: the scope of each, which ends what it began where it is closed. */
type Asking = Map<string | number, Scope.Closeable>

const interrupt = (scope: Scope.Closeable) => Scope.close(scope, Exit.interrupt())

/** Ends whatever one process has under way. */
const endAll = (asking: Asking) =>
  Effect.suspend(() => {
    const scopes = [...asking.values()]
    asking.clear()
    return Effect.forEach(scopes, interrupt, { discard: true })
  })

const ended = (requestId: string | number, value: unknown = null): FromServerEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Success", value }
})

export const layer: Layer.Layer<never, never, RpcServer.Protocol | Sharding.Sharding | Places> = Layer.effectDiscard(
  Effect.gen(function* () {
    const protocol = yield* RpcServer.Protocol
    const sharding = yield* Sharding.Sharding
    const places = yield* Places
    const scope = yield* Effect.scope
    /** by the numbers of their connections */
    const processes = new Map<number, Asking>()
    const of = (connection: number): Asking => {
      const asking = processes.get(connection) ?? new Map()
      processes.set(connection, asking)
      return asking
    }

    const request = (connection: number, { id, payload, tag }: RequestEncoded) => {
      if (!Wire.isAsked(payload)) return Effect.die(new Error("It is not understood"))
      const asking = of(connection)
      const callerScope = Scope.makeUnsafe()
      asking.set(id, callerScope)
      const send = (message: FromServerEncoded) => protocol.send(connection, message)
      const isAwaited = () => asking.get(id) === callerScope
      const begun = (effect: Effect.Effect<unknown>) => Effect.forkIn(effect, callerScope, { startImmediately: true })
      const refuse = (cause: Cause.Cause<Wire.Refusal>) => {
        asking.delete(id)
        return send({ _tag: "Exit", requestId: id, exit: Wire.refused(cause) })
      }
      const answered = (value: Reply.Encoded) => {
        if (tag === "Effect") return send(ended(id, value))
        const told = send({ _tag: "Chunk", requestId: id, values: [value] })
        return value._tag === "WithExit" ? Effect.andThen(told, send(ended(id))) : told
      }
      const envelope = Wire.requested(payload.request)
      if (envelope.tag === Call._tag) {
        const { address, requestId, sampled, spanId, traceId } = envelope
        const place = places.get(address.entityId)
        if (place?.calls.refused === "full") return refuse(Cause.fail(new ClusterError.MailboxFull({ address })))
        const called = Effect.flatMap(Effect.orDie(Wire.call(envelope.payload)), (request) => call(place, request))
        // the server is told of the trace of whoever calls
        const traced =
          traceId === undefined || spanId === undefined
            ? called
            : Effect.withParentSpan(called, Tracer.externalSpan({ traceId, spanId, sampled }))
        return begun(
          Effect.flatMap(Effect.exit(traced), (exit) => {
            if (!isAwaited()) return Effect.void
            asking.delete(id)
            const reply = new Reply.WithExit<typeof Call>({ requestId, id: requestId, exit })
            const context = Context.empty()
            return Effect.flatMap(
              Wire.answer(new Reply.ReplyWithContext({ reply, rpc: Call, context }), envelope.tag),
              answered
            )
          })
        )
      }
      const message = new Message.IncomingRequest<Rpc.Any>({
        envelope,
        lastSentReply: Option.none(),
        codecFor: Wire.codecFor,
        callerScope,
        respond: (reply) =>
          Effect.suspend(() => {
            if (!isAwaited()) return Effect.void
            if (reply.reply._tag === "WithExit") asking.delete(id)
            return Effect.flatMap(Wire.answer(reply, payload.request.tag), answered)
          })
      })
      const handed = Effect.onExit(sharding.send(message), (exit) =>
        Effect.suspend(() => {
          // what an entity has it answers itself
          if (Exit.isSuccess(exit) || !isAwaited()) return Effect.void
          return refuse(exit.cause)
        })
      )
      return begun(Effect.exit(handed))
    }

    /** It ends nothing but itself: whoever asks is told. */
    const misunderstood = (connection: number, message: FromClientEncoded) =>
      message._tag === "Request" && message.isNotification !== true
        ? protocol.send(connection, { _tag: "Exit", requestId: message.id, exit: Wire.refused(Cause.empty) })
        : Effect.void

    const received = (connection: number, message: FromClientEncoded): Effect.Effect<unknown> => {
      const send = (message: FromServerEncoded) => protocol.send(connection, message)
      switch (message._tag) {
        case "Ping":
          return send({ _tag: "Pong" })
        case "Interrupt": {
          const asking = of(connection)
          const scope = asking.get(message.requestId)
          asking.delete(message.requestId)
          return scope === undefined ? Effect.void : interrupt(scope)
        }
        case "Request":
          switch (message.tag) {
            case "Effect":
            case "Stream":
              return request(connection, message)
            case "Envelope": {
              const { envelope } = Wire.concerning.decode(message.payload)
              const told = Effect.ignore(sharding.send(new Message.IncomingEnvelope({ envelope })))
              return Effect.forkIn(told, scope, { startImmediately: true })
            }
            case "Ping":
              return send(ended(message.id))
            default:
              return Effect.die(new Error("It is not understood"))
          }
        default:
          return Effect.void
      }
    }
    yield* Effect.addFinalizer(() => Effect.forEach(processes.values(), endAll, { discard: true }))
    yield* Effect.forkScoped(
      protocol.run((connection, message) =>
        Effect.suspend(() => received(connection, message)).pipe(
          Effect.catchDefect(() => misunderstood(connection, message)),
          Effect.asVoid
        )
      )
    )
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.flatMap(Queue.take(protocol.disconnects), (connection) => {
          const asking = of(connection)
          processes.delete(connection)
          return endAll(asking)
        })
      )
    )
  })
)
