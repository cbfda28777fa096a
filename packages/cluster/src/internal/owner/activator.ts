/**
 * Keeps what this process has become the owner of: the engine makes an entity when it is asked something, and a keepalive runs without that.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Sharding, type ShardId } from "effect/cluster"
import { EntityId } from "effect/cluster"
import { BackendEntity } from "../protocol.ts"
import { type Listed, Listing } from "./listing.ts"
import { Places } from "./owner.ts"

/** Between two looks at the shards of this process: the engine does not tell of them. */
const every = "100 millis"
/** How many are made at a time, and how long one that goes elsewhere meanwhile is waited for. */
const atATime = 16
const patience = "2 seconds"

interface Group {
  readonly shard: ShardId.ShardId
  readonly ids: Array<string>
}

export const layer: Layer.Layer<never, never, Sharding.Sharding | Listing | Places> = Layer.effectDiscard(
  Effect.gen(function* () {
    const sharding = yield* Sharding.Sharding
    const listing = yield* Listing
    const places = yield* Places
    const client = yield* BackendEntity.client

    let seen: ReadonlyMap<string, Listed> | undefined
    let groups: ReadonlyArray<Group> = []
    const group = () => {
      const listed = listing.current()
      if (listed === seen) return
      seen = listed
      const byShard = new Map<string, Group>()
      for (const id of listed.keys()) {
        const shard = sharding.getShardId(EntityId.make(id), "default")
        const known = byShard.get(shard.toString()) ?? { shard, ids: [] }
        known.ids.push(id)
        byShard.set(shard.toString(), known)
      }
      groups = [...byShard.values()]
    }
    const look = Effect.suspend(() => {
      group()
      const missing = groups.flatMap(({ ids, shard }) =>
        sharding.hasShardId(shard) ? ids.filter((id) => !places.has(id)) : []
      )
      const ensure = (id: string) => Effect.ignore(Effect.timeoutOption(client(id).Ensure(), patience))
      return Effect.forEach(missing, ensure, { concurrency: atATime, discard: true })
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep(every))))
  })
)
