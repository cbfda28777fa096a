/**
 * A backend of the cluster, wherever it is kept. What this process keeps itself is asked without the engine.
 */
import { type Backend, BackendError, type ConnectionState, type Operable } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { ClusterBackend, Standing } from "../../ClusterBackends.ts"
import { tell } from "../owner/telling.ts"
import type { BackendEntity } from "../protocol.ts"
import * as Calling from "./calling.ts"
import { Continued, type Heard, states } from "./continued.ts"
import * as Following from "./following.ts"
import { isOfStorage, isRejected, isUnavailable, left, persist, reach } from "./reach.ts"

/** How long a look at a backend waits for whoever keeps it. */
const aGlance = Duration.seconds(1)
/** How long an order may take beyond the finding of an owner: an attempt has its own, shorter bound. */
const longestOrder = Duration.minutes(3)

export interface Options extends Omit<Calling.Options, "owner"> {
  /** the name of this process */
  readonly here: string
  /** asks whoever keeps it */
  readonly client: ReturnType<Effect.Success<typeof BackendEntity.client>>
  /** calls it there */
  readonly call: Calling.Owner["call"]
  /** the wall clock, in milliseconds */
  readonly now: () => number
}

/** Beside what every user sees: */
export interface One extends ClusterBackend {
  /** how it stands, where that is told within a second */
  readonly glance: Effect.Effect<Standing>
  /** as of `Backend` */
  readonly awaitConnected: Effect.Effect<void, BackendError.CallRejected>
}

export const make = ({
  begin,
  call,
  caller,
  client,
  here,
  id,
  isListed,
  kept,
  now,
  patience,
  waitForOwner
}: Options): One => {
  const local = () => kept()?.backend
  const standing = (within: Duration.Duration) =>
    Effect.suspend(() => {
      const backend = local()
      return backend === undefined
        ? reach(id, within, client.State(), Predicate.isNever)
        : Effect.map(backend.state, (state) => ({ owner: here, state }))
    })
  const glance: Effect.Effect<Standing> = Effect.orElseSucceed(standing(aGlance), () => ({
    owner: undefined,
    state: undefined
  }))
  const order = <E>(command: Operable.Command, isAnswer: (error: unknown) => error is E) =>
    Effect.andThen(standing(waitForOwner), reach(id, longestOrder, client.Command({ command }), isAnswer))
  /** where this process keeps it, without the engine */
  const orderHere = <E>(
    command: Operable.Command,
    give: (backend: Operable.Operable) => Effect.Effect<ConnectionState.ConnectionState, E>,
    isAnswer: (error: unknown) => error is E
  ) =>
    Effect.suspend((): Effect.Effect<ConnectionState.ConnectionState, E | BackendError.SessionUnavailable> => {
      const backend = local()
      return backend === undefined ? order(command, isAnswer) : give(backend)
    })

  const elsewhere = Calling.make({
    id,
    begin,
    caller,
    isListed,
    kept,
    waitForOwner,
    patience,
    owner: {
      address: Effect.map(glance, (found) => found.owner),
      call,
      meet: client.Meet(),
      attach: () => client.Attach({ caller }),
      hold: (pin) => client.Pin({ pin })
    }
  })
  const removed = Effect.fail(
    new BackendError.CallRejected({
      backend: id,
      state: "Closed",
      reason: "closed",
      detail: undefined,
      retryAfter: undefined
    })
  )
  const isLeft = left(isListed)
  const isShut = (error: unknown): error is BackendError.CallRejected => isRejected(error) && !isLeft(error)
  /** Here, which says when it has begun to run what it was given; elsewhere where the backend is left by then. */
  const onward = <A, E, R>(
    here: (backend: Backend.Backend<Peer.Peer>, begin: () => void) => Effect.Effect<A, E, R>,
    there: () => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const backend = local()
      if (backend === undefined) return there()
      let hasBegun = false
      const asked = here(backend, () => void (hasBegun = true))
      return Effect.catch(asked, (error) => (!hasBegun && isLeft(error) ? there() : Effect.fail(error)))
    })

  return {
    id,
    owner: Effect.map(glance, ({ owner }) => owner),
    glance,
    state: Effect.map(standing(waitForOwner), ({ state }) => state),
    changes: Stream.suspend(() => {
      const continued = states(now)
      return Following.follow<ConnectionState.ConnectionState | undefined>({
        isListed,
        local,
        here: (backend) => Stream.concat(backend.changes, Stream.make(undefined)),
        elsewhere: () => Stream.concat(Following.orNothing(client.Changes()), Stream.make(undefined))
      }).pipe(Stream.map(continued), Stream.flattenIterable)
    }),
    events: Stream.suspend(() => {
      const continued = new Continued(id, now)
      const ended = Stream.make<[Heard]>({ _tag: "Ended" })
      return Following.follow<Heard>({
        isListed,
        local,
        here: (backend) => Stream.concat(tell(backend), ended),
        elsewhere: () => Stream.concat(Following.orNothing(client.Events()), ended)
      }).pipe(
        Stream.map((heard) => continued.take(heard)),
        Stream.flattenIterable
      )
    }),
    probe: orderHere("probe", (backend) => backend.probe, isUnavailable),
    reconnect: orderHere("reconnect", (backend) => backend.reconnect, isRejected),
    // by whoever keeps it, in the storage as well
    isolate: Effect.asVoid(order("isolate", isOfStorage)),
    reset: Effect.asVoid(order("reset", isOfStorage)),
    use: (callback, options) =>
      onward(
        (backend, begin) =>
          backend.use((peer, signal) => {
            begin()
            return callback(peer, signal)
          }, options),
        () => elsewhere.use(callback, options)
      ),
    pinned: (body) =>
      onward(
        (backend, begin) =>
          backend.pinned((session) => {
            begin()
            return body(session)
          }),
        () => elsewhere.pinned(body)
      ),
    lists: Effect.suspend(() => local()?.lists ?? reach(id, waitForOwner, client.Lists(), Predicate.isNever)),
    listen: (filter, { initially = false } = {}) =>
      Following.follow({
        isListed,
        local,
        // Between two owners is a gap, after which everything may have changed.
        here: (backend, isFirst) => backend.listen(filter, { initially: initially || !isFirst }),
        elsewhere: (isFirst) => client.Listen({ filter, initially: initially || !isFirst })
      }),
    awaitConnected: persist(
      Effect.suspend((): Effect.Effect<void, unknown> =>
        isListed() ? (local()?.awaitConnected ?? client.Connected()) : removed
      ),
      isShut
    )
  }
}
