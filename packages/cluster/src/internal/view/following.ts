/**
 * What a backend tells, from one owner to the next.
 */
import type { Backend } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** between the end of what one owner tells and the next */
const pause = "100 millis"
/** between two looks at which backends are listed */
const comparing = "250 millis"
/** How many events a reader may be behind: as with a fleet. */
const readerBuffer = 16_384

export interface Told<A, Kept> {
  /** whether there is anything to come */
  readonly isListed: () => boolean
  /** what this process keeps itself */
  readonly local: () => Kept | undefined
  /** what the owner tells, which may not be the first that is asked */
  readonly here: (kept: Kept, isFirst: boolean) => Stream.Stream<A>
  readonly elsewhere: (isFirst: boolean) => Stream.Stream<A, unknown>
}

export const follow = <A, Kept = Backend.Backend<Peer.Peer>>({
  elsewhere,
  here,
  isListed,
  local
}: Told<A, Kept>): Stream.Stream<A> =>
  Stream.suspend(() => {
    let tries = 0
    const next = Effect.suspend(() => (tries++ === 0 ? Effect.void : Effect.sleep(pause)))
    return Stream.fromEffectRepeat(next).pipe(
      Stream.takeWhile(isListed),
      Stream.flatMap(() => {
        const isFirst = tries === 1
        const kept = local()
        const told = kept === undefined ? elsewhere(isFirst) : here(kept, isFirst)
        return orNothing(told)
      })
    )
  })

/** An owner that ends, or keeps it no longer, has nothing more to tell. */
export const orNothing = <A>(told: Stream.Stream<A, unknown>): Stream.Stream<A> =>
  Stream.catchCause(told, () => Stream.empty)

/** What all backends tell that are listed, and are to be. */
export const followAll = <A>(
  listed: () => ReadonlyMap<string, unknown>,
  of: (id: string) => Stream.Stream<A>
): Stream.Stream<A> =>
  Stream.callback<A>(
    (queue) =>
      Effect.gen(function* () {
        const readers = yield* FiberMap.make<string>()
        let seen: ReadonlyMap<string, unknown> | undefined
        const look = Effect.gen(function* () {
          const now = listed()
          if (now === seen) return
          seen = now
          for (const id of now.keys()) {
            const reader = Stream.runForEach(of(id), (item) => Effect.sync(() => void Queue.offerUnsafe(queue, item)))
            yield* FiberMap.run(readers, id, reader, { onlyIfMissing: true })
          }
        })
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep(comparing))), {
          startImmediately: true
        })
      }),
    { bufferSize: readerBuffer, strategy: "sliding" }
  )
