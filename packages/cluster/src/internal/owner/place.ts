/**
 * Where a backend is kept while this process owns it: made, changed and ended as the listing says.
 */
import { Backend, type BackendError, type Connector } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type Answer, NotKept } from "../protocol.ts"
import type { Isolated } from "../isolation/Isolation.ts"
import type { Audience } from "./audience.ts"
import type { Calls } from "./calls.ts"
import type { Listed } from "./listing.ts"
import { perform, type Request } from "./perform.ts"

export interface Place {
  /** `undefined` while the id is not listed */
  readonly backend: () => Backend.Backend<Peer.Peer> | undefined
  /** who hears in other processes what its server says */
  readonly audience: Audience
  /** of other processes */
  readonly calls: Calls
  /** whether it is certain that no other process keeps it */
  readonly isCertain: () => boolean
  /** for how many milliseconds that is certain; 0 where it is not */
  readonly margin: () => number
  /** Makes it what the listing says. */
  readonly follow: Effect.Effect<void>
}

export interface Options {
  readonly id: string
  readonly listed: () => Listed | undefined
  readonly isCertain: () => boolean
  readonly margin: () => number
  /** Tells that there is a backend; what it returns, that it has ended. */
  readonly kept: () => () => void
  readonly gated: (connector: Connector.Connector<Peer.Peer>) => Connector.Connector<Peer.Peer>
  readonly audience: Audience
  readonly calls: Calls
  /** whether an operator has isolated it, wherever it was kept then */
  readonly isolated: Isolated
}

interface Made {
  readonly backend: Backend.Backend<Peer.Peer>
  readonly scope: Scope.Closeable
  readonly from: Listed
}

/** Between two questions to a storage that does not say whether a backend is isolated. */
const pause = "500 millis"

/** A place that ends with the scope, and its backend with it. */
export const make = ({
  audience,
  calls,
  gated,
  id,
  isCertain,
  isolated,
  kept,
  listed,
  margin
}: Options): Effect.Effect<Place, never, Scope.Scope> =>
  Effect.gen(function* () {
    const oneAtATime = Semaphore.makeUnsafe(1)
    const here = yield* Effect.scope
    let made: Made | undefined
    let isOver = false

    const end = Effect.suspend(() => {
      const ending = made
      made = undefined
      return ending === undefined
        ? Effect.void
        : Effect.ensuring(Scope.close(ending.scope, Exit.void), Effect.sync(audience.end))
    })
    const begin = (from: Listed) =>
      Effect.gen(function* () {
        const isIsolated = yield* Effect.option(isolated.read)
        // It is not connected to before that is known: until then it is kept by nobody.
        if (Option.isNone(isIsolated)) return void (yield* Effect.forkIn(Effect.delay(following, pause), here))
        const scope = yield* Scope.make()
        let left = () => {}
        // before the backend is made, so that it is told after that has ended
        yield* Scope.addFinalizer(
          scope,
          Effect.sync(() => left())
        )
        const { policy } = from
        const make = isIsolated.value ? makeIsolated : Backend.make<Peer.Peer>
        // What could be wrong was looked for when it was listed; what has gone wrong since then is no reason to end this process.
        const result = yield* Effect.exit(Scope.provide(make({ id, connector: gated(from.connector), policy }), scope))
        if (Exit.isFailure(result)) return yield* Effect.logWarning(`Backend "${id}" cannot be made`, result.cause)
        made = { backend: result.value, scope, from }
        left = kept()
      })
    const change = (from: Listed, { backend, from: before, scope }: Made) => {
      const connector = from.connector === before.connector ? undefined : gated(from.connector)
      return Effect.andThen(
        Effect.ignore(backend.reconfigure({ connector, policy: from.policy })),
        Effect.sync(() => void (made = { backend, scope, from }))
      )
    }
    const follow = Effect.suspend(() => {
      const from = isOver ? undefined : listed()
      // One that is listed anew is another one, as in a fleet.
      if (from === undefined) return isOver ? end : Effect.andThen(end, isolated.forget)
      if (made === undefined) return begin(from)
      return made.from === from ? Effect.void : change(from, made)
    })
    const alone = oneAtATime.withPermits(1)
    const following: Effect.Effect<void> = Effect.uninterruptible(alone(follow))
    yield* Effect.addFinalizer(() =>
      alone(
        Effect.suspend(() => {
          isOver = true
          return end
        })
      )
    )
    return { audience, calls, backend: () => made?.backend, isCertain, margin, follow: following }
  })

/** Without an attempt: it is isolated before it would begin to connect. */
const makeIsolated = Effect.fnUntraced(function* (options: Backend.Options<Peer.Peer>) {
  const backend = yield* Backend.make({ ...options, policy: { ...options.policy, connect: "lazy" } })
  yield* backend.isolate
  yield* backend.reconfigure({ policy: options.policy })
  return backend
})

/**
 * A call of another process, made where it arrives. It is no request of the entity's, which takes longer to hand it on than the call takes. What has waited
 * until the backend was handed over is rejected as one that is closed, and goes to the next owner from there.
 */
export const call = (
  place: Place | undefined,
  request: Request
): Effect.Effect<Answer, NotKept | BackendError.CallError | BackendError.SessionReplaced> => {
  const backend = place?.isCertain() === true ? place.backend() : undefined
  if (place === undefined || backend === undefined || place.calls.refused !== undefined)
    return Effect.fail(new NotKept())
  return place.calls.run(perform({ backend, audience: place.audience }, request))
}
