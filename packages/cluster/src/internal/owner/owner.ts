/**
 * The owner's side: one entity of the engine keeps one backend, in its own scope, for as long as this process has the shard.
 */
import { type Backend, Ownership } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { Entity, type Sharding } from "effect/cluster"
import { Isolation } from "../isolation/Isolation.ts"
import { Ledger } from "../ledger/Ledger.ts"
import { remembering } from "../ledger/remembering.ts"
import { Leases } from "../lease/Leases.ts"
import { BackendEntity, NotKept } from "../protocol.ts"
import { Audience } from "./audience.ts"
import { Calls } from "./calls.ts"
import { gated } from "./gate.ts"
import { Listing } from "./listing.ts"
import { order } from "./orders.ts"
import { meet } from "./perform.ts"
import * as Place from "./place.ts"
import { tell } from "./telling.ts"

/** What this process keeps now, by the ids of the backends. */
export class Places extends Context.Service<Places, Map<string, Place.Place>>()("@vmcp-keepalive/cluster/Places") {}

/** The name of this process in the cluster. */
export class Here extends Context.Service<Here, string>()("@vmcp-keepalive/cluster/Here") {}

/** How many calls of other processes may be under way for one backend, and how much else that they ask or listen to. */
const mostAtATime = 4096

/** `drain`: for how long calls that have begun may go on when the backend is handed over. */
export const layer = (
  drain: Duration.Duration
): Layer.Layer<never, never, Sharding.Sharding | Listing | Leases | Ledger | Isolation | Places | Here> =>
  BackendEntity.toLayer(
    Effect.gen(function* () {
      const { entityId: id, shardId } = yield* Entity.CurrentAddress
      const listing = yield* Listing
      const leases = yield* Leases
      const places = yield* Places
      const owner = yield* Here
      const observers = yield* Ownership.observers
      const isCertain = () => leases.holds(shardId)
      const margin = () => Math.max(0, leases.left(shardId))
      // before the place, so that what ends with it is still removed
      const book = yield* Effect.flatMap(Ledger, (ledger) => ledger.of(id))

      const scope = yield* Effect.scope
      const isolated = yield* Effect.flatMap(Isolation, ({ of }) => of(id))

      const audience = new Audience(`${owner} ${yield* Random.nextInt}`)
      const calls = new Calls(mostAtATime)
      const place = yield* Place.make({
        id,
        isCertain,
        isolated,
        margin,
        kept: () => {
          const ends = observers.map((observer) => observer(id, () => Duration.millis(margin())))
          return () => ends.forEach((end) => end())
        },
        listed: () => listing.current().get(id),
        audience,
        calls,
        gated: (connector) => {
          const certain = gated(connector, isCertain, audience.opened)
          return book === undefined ? certain : remembering(certain, book)
        }
      })
      yield* Effect.acquireRelease(
        Effect.sync(() => void places.set(id, place)),
        () => Effect.sync(() => void (places.get(id) === place && places.delete(id)))
      )
      // before anything of it ends
      yield* Effect.addFinalizer(() => calls.end(drain))
      yield* place.follow

      const kept = <A, E, R>(ask: (backend: Backend.Backend<Peer.Peer>) => Effect.Effect<A, E, R>) =>
        Effect.suspend((): Effect.Effect<A, E | NotKept, R> => {
          const backend = isCertain() ? place.backend() : undefined
          return backend === undefined ? Effect.fail(new NotKept()) : ask(backend)
        })
      const reading = <A>(read: (backend: Backend.Backend<Peer.Peer>) => Stream.Stream<A>) =>
        Stream.unwrap(kept((backend) => Effect.succeed(read(backend))))

      return BackendEntity.of({
        State: () => kept((backend) => Effect.map(backend.state, (state) => ({ owner, state }))),
        Command: ({ payload: { command } }) =>
          kept((backend) => {
            const isKept = () => isCertain() && place.backend() === backend
            // Also where whoever ordered it has gone: what the storage has is done here too.
            return Effect.flatMap(Effect.forkIn(order({ backend, isKept, isolated }, command), scope), Fiber.join)
          }),
        Changes: () => reading((backend) => backend.changes),
        Events: () => reading(tell),
        // what another process calls it is handed as it comes, and what this one calls goes through no entity
        Call: () => Effect.fail(new NotKept()),
        Meet: () => kept((backend) => meet({ backend, audience })),
        Attach: ({ payload: { caller } }) => reading(() => audience.attach(caller)),
        Pin: ({ payload: { pin } }) =>
          Stream.unwrap(kept((backend) => Effect.succeed(audience.pins.hold(backend, pin)))),
        Lists: () => kept((backend) => backend.lists),
        Connected: () => kept((backend) => backend.awaitConnected),
        Listen: ({ payload: { filter, initially } }) => reading((backend) => backend.listen(filter, { initially })),
        Ensure: () => Effect.void
      })
    }),
    // One question waits for no other, and a backend lives without being asked anything.
    { concurrency: "unbounded", maxIdleTime: Duration.infinity, mailboxCapacity: mostAtATime }
  )
