/**
 * The other end of `requests.ts`: the engine's `RunnerServer` without its RPC. What another process asks is handed to the engine, and each answer of an
 * entity is one message on the connection.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import { ClusterError, EntityAddress, EntityId, EntityType, Message, Reply, Sharding, Snowflake } from "effect/cluster"
import type { Rpc } from "effect/rpc"
import * as Tracer from "effect/Tracer"
import { Places } from "../owner/owner.ts"
import * as Place from "../owner/place.ts"
import { BackendEntity, Call } from "../protocol.ts"
import * as CallCodec from "./callCodec.ts"
import * as Connections from "./connections.ts"
import type { Connection } from "./link.ts"
import * as Wire from "./wire.ts"

/** What one process has under way here, by the ids that it gave: what ends each. */
type UnderWay = Map<number, () => Effect.Effect<void>>

/** Ends whatever one process has under way. */
const endAll = (underWay: UnderWay) =>
  Effect.suspend(() => {
    const ends = [...underWay.values()]
    underWay.clear()
    return Effect.forEach(ends, (end) => end(), { discard: true })
  })

const begun = (effect: Effect.Effect<unknown>, scope: Scope.Scope) =>
  Effect.forkIn(effect, scope, { startImmediately: true })

const ended = (requestId: number, value: unknown = null): Wire.Said => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Success", value }
})

export const layer: Layer.Layer<never, never, Connections.Accepting | Sharding.Sharding | Places> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { accept } = yield* Connections.Accepting
    const sharding = yield* Sharding.Sharding
    const places = yield* Places
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    let isOver = false
    /** of each process that is connected */
    const processes = new Set<UnderWay>()

    const serve = (connection: Connection): ReturnType<Connections.Take> => {
      const underWay: UnderWay = new Map()
      processes.add(underWay)
      const send = (said: Wire.Said) => void connection.send(said)

      /** A call, made here and now. */
      const call = ({ backend, call: asked, id, requestId, span }: Wire.Called) => {
        const place = places.get(backend)
        if (place?.calls.refused === "full") {
          const entityId = EntityId.make(backend)
          const shardId = sharding.getShardId(entityId, "default")
          const address = EntityAddress.make({ shardId, entityType: EntityType.make(BackendEntity.type), entityId })
          return send(refusal(id, Cause.fail(new ClusterError.MailboxFull({ address }))))
        }
        const request = CallCodec.decode(asked)
        if (request === undefined) return send(refusal(id, Cause.empty))
        const called = Place.call(place, request)
        // the server is told of the trace of whoever calls
        const fiber = fork(span === undefined ? called : Effect.withParentSpan(called, Tracer.externalSpan(span)))
        underWay.set(id, () => Fiber.interrupt(fiber))
        fiber.addObserver((exit) => {
          if (!underWay.delete(id)) return
          if (Exit.isSuccess(exit)) return send({ _tag: "Answer", requestId: id, answer: exit.value })
          const known = Snowflake.Snowflake(requestId)
          const reply = new Reply.WithExit<typeof Call>({ requestId: known, id: known, exit })
          const context = Context.empty()
          const encoded = Wire.answer(new Reply.ReplyWithContext({ reply, rpc: Call, context }), Call._tag)
          fork(Effect.map(encoded, (value) => send(ended(id, value))))
        })
      }

      /** What the engine hands to an entity. */
      const request = (id: number, tag: "Effect" | "Stream", envelope: Wire.Requested) => {
        const callerScope = Scope.makeUnsafe()
        underWay.set(id, () => Scope.close(callerScope, Exit.interrupt()))
        const answered = (value: Reply.Encoded) => {
          if (tag === "Effect") return send(ended(id, value))
          send({ _tag: "Chunk", requestId: id, values: [value] })
          if (value._tag === "WithExit") send(ended(id))
        }
        const message = new Message.IncomingRequest<Rpc.Any>({
          envelope,
          lastSentReply: Option.none(),
          codecFor: Wire.codecFor,
          callerScope,
          respond: (reply) =>
            Effect.suspend(() => {
              if (!underWay.has(id)) return Effect.void
              if (reply.reply._tag === "WithExit") underWay.delete(id)
              return Effect.map(Wire.answer(reply, envelope.tag), answered)
            })
        })
        const handed = Effect.onExit(sharding.send(message), (exit) =>
          Effect.sync(() => {
            // what an entity has it answers itself
            if (Exit.isFailure(exit) && underWay.delete(id)) send(refusal(id, exit.cause))
          })
        )
        fork(begun(Effect.exit(handed), callerScope))
      }

      const asked = (question: Wire.Question) => {
        if (question._tag === "Interrupt") {
          const end = underWay.get(question.requestId)
          underWay.delete(question.requestId)
          if (end !== undefined) fork(end())
          return
        }
        if (question._tag === "Call") return call(question)
        switch (question.tag) {
          case "Ping":
            return send(ended(question.id))
          case "Envelope": {
            const { envelope } = Wire.concerning.decode(question.payload)
            fork(begun(Effect.ignore(sharding.send(new Message.IncomingEnvelope({ envelope }))), scope))
            return
          }
          case "Effect":
          case "Stream": {
            const { id, payload, tag } = question
            if (!Wire.isAsked(payload)) return send(refusal(id, Cause.empty))
            // the engine takes nothing any more: whoever asks may ask the next one
            if (isOver) return send(refusal(id, Cause.interrupt()))
            return request(id, tag, Wire.requested(payload.request))
          }
        }
      }

      return {
        received: (message) => {
          const { id } = Object(message)
          // One of ours counts up. An answer under this number would be taken for that of what is under way under it.
          if (underWay.has(id)) return connection.end()
          try {
            if (Wire.isQuestion(message)) return asked(message)
          } catch {
            // as what is none
          }
          // It is not understood: it ends nothing but itself, and whoever asks is told.
          if (Predicate.isNumber(id)) send(refusal(id, Cause.empty))
        },
        ended: () => {
          processes.delete(underWay)
          fork(endAll(underWay))
        }
      }
    }
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isOver = true
        return Effect.forEach(processes, endAll, { discard: true })
      })
    )
    yield* accept(serve)
  })
)

const refusal = (requestId: number, cause: Cause.Cause<Wire.Refusal>): Wire.Said => ({
  _tag: "Exit",
  requestId,
  exit: Wire.refused(cause)
})
