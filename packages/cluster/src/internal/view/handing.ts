/**
 * A call handed to the engine: as the client of an entity does it, without the fiber and the schemas that this takes for requests of every kind.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EntityAddress, EntityId, EntityType, Envelope, Message, type Reply, type Sharding } from "effect/cluster"
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
    Effect.withFiber(({ context }) => {
      let answered: ((exit: Rpc.Exit<typeof Call>) => void) | undefined
      let answer: Rpc.Exit<typeof Call> | undefined
      const respond = (reply: Reply.Reply<typeof Call>) =>
        Effect.sync(() => {
          if (reply._tag !== "WithExit") return
          answer = reply.exit
          answered?.(reply.exit)
        })
      // an entity of this process answers when it has been handed to it, all others have answered by then
      const answering = Effect.suspend(
        () => answer ?? Effect.callback<Answer, unknown>((resume) => void (answered = resume))
      )
      return Effect.flatMap(sharding.getSnowflake, (requestId) => {
        const envelope = Envelope.makeRequest<typeof Call>({
          requestId,
          address,
          tag: Call._tag,
          payload,
          headers: Headers.empty
        })
        const message = new Message.OutgoingRequest<typeof Call>({
          envelope,
          lastReceivedReply: Option.none(),
          rpc: Call,
          // with the ticket of whoever asks
          context,
          annotations: Call.annotations,
          respond
        })
        return Effect.andThen(sharding.sendOutgoing(message, false), answering)
      })
    })
}
