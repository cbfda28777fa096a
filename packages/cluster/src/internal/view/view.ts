/**
 * The caller's side, the same in every process: a backend wherever it is kept. What this process keeps itself is asked without the engine.
 */
import { type Backend, type BackendError, type ConnectionState, type Fleet, Operable } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Sharding } from "effect/cluster"
import type { ClusterBackend, Shape, Standing } from "../../ClusterBackends.ts"
import { Listing } from "../owner/listing.ts"
import { Here, Places } from "../owner/owner.ts"
import { BackendEntity } from "../protocol.ts"
import { ask } from "./asking.ts"
import { using } from "./elsewhere.ts"
import * as Following from "./following.ts"
import { isRejected, isUnavailable, reach } from "./reach.ts"

/** How long a look at all backends waits for one of them, and how many it asks at a time. */
const glance = Duration.seconds(1)
const atATime = 64
/** How long an order may take beyond the finding of an owner: an attempt has its own, shorter bound. */
const longestOrder = Duration.minutes(3)

export const make = (
  waitForOwner: Duration.Duration
): Effect.Effect<Omit<Shape, "processes">, never, Sharding.Sharding | Listing | Places | Here> =>
  Effect.gen(function* () {
    const listing = yield* Listing
    const places = yield* Places
    const here = yield* Here
    const client = yield* BackendEntity.client

    const isListed = (id: string) => listing.current().has(id)
    const local = (id: string): Backend.Backend<Peer.Peer> | undefined => {
      const place = places.get(id)
      return place?.isCertain() === true ? place.backend() : undefined
    }
    const standing = (id: string, patience: Duration.Duration) =>
      Effect.suspend(() => {
        const backend = local(id)
        return backend === undefined
          ? reach(id, patience, client(id).State(), Predicate.isNever)
          : Effect.map(backend.state, (state) => ({ owner: here, state }))
      })
    const glanceAt = (id: string): Effect.Effect<Standing> =>
      Effect.orElseSucceed(standing(id, glance), () => ({ owner: undefined, state: undefined }))
    const order = <E>(
      id: string,
      command: Operable.Command,
      give: (backend: Operable.Operable) => Effect.Effect<ConnectionState.ConnectionState, E>,
      isAnswer: (error: unknown) => error is E
    ) =>
      Effect.suspend((): Effect.Effect<ConnectionState.ConnectionState, E | BackendError.SessionUnavailable> => {
        const backend = local(id)
        if (backend !== undefined) return give(backend)
        const asked = reach(id, longestOrder, client(id).Command({ command }), isAnswer)
        return Effect.andThen(standing(id, waitForOwner), asked)
      })
    const eventsOf = (id: string) =>
      Following.follow({
        isListed: () => isListed(id),
        local: () => local(id),
        here: (backend) => backend.events,
        elsewhere: () => client(id).Events()
      })

    const elsewhere = (id: string) =>
      using(
        id,
        ask({
          id,
          patience: waitForOwner,
          local: () => local(id),
          send: (request) => client(id).Call(request)
        })
      )

    const of = (id: string): ClusterBackend => ({
      id,
      owner: Effect.map(glanceAt(id), ({ owner }) => owner),
      state: Effect.map(standing(id, waitForOwner), ({ state }) => state),
      changes: Following.follow({
        isListed: () => isListed(id),
        local: () => local(id),
        here: (backend) => backend.changes,
        elsewhere: () => client(id).Changes()
      }),
      events: eventsOf(id),
      probe: order(id, "probe", (backend) => backend.probe, isUnavailable),
      reconnect: order(id, "reconnect", (backend) => backend.reconnect, isRejected),
      isolate: Effect.asVoid(
        order(id, "isolate", (backend) => Effect.andThen(backend.isolate, backend.state), Predicate.isNever)
      ),
      reset: Effect.asVoid(
        order(id, "reset", (backend) => Effect.andThen(backend.reset, backend.state), Predicate.isNever)
      ),
      use: (callback, options) =>
        Effect.suspend(() => {
          const backend = local(id)
          return backend === undefined ? elsewhere(id)(callback, options) : backend.use(callback, options)
        })
    })

    return {
      get: (id) => Effect.sync(() => (isListed(id) ? Option.some(of(id)) : Option.none())),
      ids: Effect.sync(() => [...listing.current().keys()]),
      states: Effect.suspend(() =>
        Effect.map(
          Effect.forEach(listing.current().keys(), (id) => Effect.map(glanceAt(id), (found) => [id, found] as const), {
            concurrency: atATime
          }),
          (all) => new Map(all)
        )
      ),
      events: Following.followAll(listing.current, eventsOf),
      command: (id, command) =>
        Effect.suspend(() => (isListed(id) ? Effect.asSome(Operable.operate(of(id), command)) : Effect.succeedNone)),
      apply: (specs: ReadonlyArray<Fleet.Spec>) => listing.apply(specs, (id) => places.get(id)?.follow ?? Effect.void)
    }
  })
