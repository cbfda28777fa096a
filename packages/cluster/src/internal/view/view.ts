/**
 * The caller's side, the same in every process: the backends of the cluster, wherever each is kept.
 */
import { type Fleet, Operable } from "@vmcp-keepalive/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Sharding } from "effect/cluster"
import type { Shape } from "../../ClusterBackends.ts"
import { Listing } from "../owner/listing.ts"
import { Here, Places } from "../owner/owner.ts"
import { BackendEntity } from "../protocol.ts"
import * as Fleets from "./fleet.ts"
import * as Following from "./following.ts"
import { calls } from "./handing.ts"
import * as One from "./one.ts"
import * as Patience from "./patience.ts"
import { unkept } from "./reach.ts"

/** How many backends a look at all of them asks at a time. */
const atATime = 64

export const make = (
  waitForOwner: Duration.Duration
): Effect.Effect<Omit<Shape, "processes">, never, Sharding.Sharding | Listing | Places | Here | Scope.Scope> =>
  Effect.gen(function* () {
    const listing = yield* Listing
    const places = yield* Places
    const here = yield* Here
    const sharding = yield* Sharding.Sharding
    const client = yield* BackendEntity.client
    const clock = yield* Clock.Clock
    const patience = yield* Patience.make(waitForOwner)

    // What others hold of this outlives the scope: they are told nothing more then, and wait for nothing.
    const over = Deferred.makeUnsafe<void>()
    const isListed = (id: string) => !Deferred.isDoneUnsafe(over) && listing.current().has(id)
    const untilOver = <A>(told: Stream.Stream<A>) => Stream.interruptWhen(told, Deferred.await(over))
    const caller = `${here} ${yield* Random.nextInt}`
    const attachments = yield* FiberMap.make<string>()
    // The same one for everybody, also where it is listed anew: as many as were ever listed.
    const ones = new Map<string, One.One>()
    const of = (id: string): One.One => {
      const one = ones.get(id) ?? made(id)
      ones.set(id, one)
      return one
    }
    const made = (id: string): One.One =>
      One.make({
        id,
        here,
        caller,
        waitForOwner,
        patience,
        isListed: () => isListed(id),
        kept: () => {
          const place = places.get(id)
          const backend = place?.isCertain() === true ? place.backend() : undefined
          return place === undefined || backend === undefined ? undefined : { audience: place.audience, backend }
        },
        // a process that ends begins nothing
        begin: (effect) =>
          Effect.catchCause(FiberMap.run(attachments, id, effect, { onlyIfMissing: true }), () =>
            Effect.fail(unkept(id))
          ),
        client: client(id),
        call: calls(sharding, id),
        now: () => clock.currentTimeMillisUnsafe()
      })
    const events = Following.followAll(listing.current, (id) => of(id).events)
    const fleet = yield* Fleets.make({
      listing,
      of,
      events,
      apply: (specs: ReadonlyArray<Fleet.Spec>) => listing.apply(specs, (id) => places.get(id)?.follow ?? Effect.void)
    })

    yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))

    return {
      get: (id) => Effect.sync(() => (isListed(id) ? Option.some(of(id)) : Option.none())),
      ids: fleet.ids,
      states: Effect.suspend(() =>
        Effect.map(
          Effect.forEach(listing.current().keys(), (id) => Effect.map(of(id).glance, (found) => [id, found] as const), {
            concurrency: atATime
          }),
          (all) => new Map(all)
        )
      ),
      leaseMargin: Effect.sync(() => {
        const margins = [...places.values()].flatMap((place) => (place.backend() === undefined ? [] : [place.margin()]))
        return margins.length === 0 ? undefined : Duration.millis(margins.reduce((a, b) => Math.min(a, b)))
      }),
      events: untilOver(events),
      command: (id, command) =>
        Effect.suspend(() => (isListed(id) ? Effect.asSome(Operable.operate(of(id), command)) : Effect.succeedNone)),
      apply: fleet.apply,
      fleet: { ...fleet, events: untilOver(fleet.events), changes: untilOver(fleet.changes) }
    }
  })
