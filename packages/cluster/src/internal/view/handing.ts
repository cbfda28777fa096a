/**
 * A call handed to the engine: as the client of an entity does it, without the fiber and the schemas that this takes for requests of every kind.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EntityAddress, EntityId, EntityType, Envelope, Message, type Sharding } from "effect/cluster"
import { Headers } from "effect/http"
import type { Rpc } from "effect/rpc"
import type { Request } from "../owner/perform.ts"
import { type Answer, BackendEntity, Call } from "../protocol.ts"

/** Whoever asks is interrupted where the one that had it is gone. */
export const calls = (sharding: Sharding.Sharding["Service"], id: string) => {
  const entityId = EntityId.make(id)
  const address = EntityAddress.make({
    shardId: sharding.getShardId(entityId, "default"),
    entityType: EntityType.make(BackendEntity.type),
    entityId
  })
  return (payload: Request): Effect.Effect<Answer, unknown> =>
    Effect.gen(function* () {
      let answered: ((exit: Rpc.Exit<typeof Call>) => void) | undefined
      let answer: Rpc.Exit<typeof Call> | undefined
      const message = new Message.OutgoingRequest<typeof Call>({
        envelope: Envelope.makeRequest<typeof Call>({
          requestId: yield* sharding.getSnowflake,
          address,
          tag: Call._tag,
          payload,
          headers: Headers.empty
        }),
        lastReceivedReply: Option.none(),
        rpc: Call,
        // with the ticket of whoever asks
        context: yield* Effect.context<never>(),
        annotations: Call.annotations,
        respond: (reply) =>
          Effect.sync(() => {
            if (reply._tag !== "WithExit") return
            answer = reply.exit
            answered?.(reply.exit)
          })
      })
      yield* sharding.sendOutgoing(message, false)
      // an entity of this process answers when it has been handed to it, all others have answered by then
      return yield* (
        answer ??
          (yield* Effect.callback<Rpc.Exit<typeof Call>>((resume) => {
            answered = (exit) => resume(Effect.succeed(exit))
            if (answer !== undefined) answered(answer)
          }))
      )
    })
}
