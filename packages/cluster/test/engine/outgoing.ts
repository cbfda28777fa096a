/** Requests as the engine hands them to its `Runners`. */
import { Context, Effect, Exit, Option } from "effect"
import { EntityAddress, EntityId, EntityType, Envelope, Message, type Reply, ShardId, Snowflake } from "effect/cluster"
import { Headers } from "effect/http"
import type { Rpc } from "effect/rpc"
import { BackendEntity } from "../../src/internal/protocol.ts"

/** A question of a backend, with the context of whoever asks, and how it was answered. */
export const outgoing = <R extends Rpc.Any>(
  rpc: R,
  tag: Rpc.Tag<R>,
  payload: Rpc.Payload<R>,
  context: Context.Context<Rpc.Services<R>>
) => {
  const answers: Array<"ended" | "died" | "answered" | "told"> = []
  const message = new Message.OutgoingRequest<R>({
    envelope: Envelope.makeRequest<R>({
      requestId: Snowflake.Snowflake("1"),
      address: EntityAddress.make({
        shardId: ShardId.make("default", 1),
        entityType: EntityType.make(BackendEntity.type),
        entityId: EntityId.make("one")
      }),
      tag,
      payload,
      headers: Headers.empty
    }),
    context,
    lastReceivedReply: Option.none(),
    rpc,
    respond: (reply: Reply.Reply<R>) =>
      Effect.sync(() => {
        if (reply._tag === "Chunk") answers.push("told")
        else if (Exit.hasInterrupts(reply.exit)) answers.push("ended")
        else answers.push(Exit.hasDies(reply.exit) ? "died" : "answered")
      }),
    annotations: Context.empty()
  })
  return { answers, message }
}
