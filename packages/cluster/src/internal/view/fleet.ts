/**
 * The cluster as the backends of one host: what a fleet's users, such as the gateway, stand on.
 */
import { Fleet, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Listing } from "../owner/listing.ts"
import { Face } from "./face.ts"
import type { One } from "./one.ts"

export interface Options {
  readonly listing: Listing["Service"]
  readonly of: (id: string) => One
  /** Takes other specs. */
  readonly apply: Fleet.Backends<Peer.Peer>["apply"]
  /** of all backends */
  readonly events: Stream.Stream<KeepaliveEvent.KeepaliveEvent>
}

/** How many changes a reader may be behind: as with a fleet. */
const readerBuffer = 16_384
const atATime = 64

interface Member {
  readonly backend: Face
  readonly madeAt: number
}

export const make = ({ apply, events, listing, of }: Options): Effect.Effect<Fleet.Backends<Peer.Peer>> =>
  Effect.gen(function* () {
    const inherited = yield* KeepalivePolicy.Current
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const changes = yield* PubSub.sliding<Fleet.Change>(readerBuffer)
    const members = new Map<string, Member>()

    /** The same for as long as it is listed. */
    const member = (id: string): Member | undefined => {
      const listed = listing.current().get(id)
      if (listed === undefined) return undefined
      const known = members.get(id)
      if (known !== undefined) return known
      const backend = new Face({ one: of(id), listed: () => listing.current().get(id), inherited, now }, listed)
      const made = { backend, madeAt: Number(clock.monotonicTimeNanosUnsafe()) / 1e6 }
      members.set(id, made)
      return made
    }
    const all = () => [...listing.current().keys()].flatMap((id) => member(id) ?? [])
    // from when they are required to be there
    all()

    const reconfigured = (change: Fleet.Change): Effect.Effect<ReadonlyArray<KeepaliveEvent.KeepaliveEvent>> => {
      const found = change._tag === "Replaced" ? member(change.id) : undefined
      if (change._tag !== "Replaced" || found === undefined) return Effect.succeed([])
      return Effect.map(found.backend.policy, ({ required }) => [
        {
          _tag: "Reconfigured",
          backend: change.id,
          at: now(),
          connection: change.what.includes("connection"),
          policy: change.what.includes("policy"),
          required
        }
      ])
    }

    return {
      get: (id) => Effect.sync(() => Option.map(Option.fromUndefinedOr(member(id)), ({ backend }) => backend)),
      ids: Effect.sync(() => [...listing.current().keys()]),
      states: Effect.suspend(() =>
        Effect.map(
          Effect.forEach(all(), ({ backend }) => Effect.map(backend.state, (state) => [backend.id, state] as const), {
            concurrency: atATime
          }),
          (states) => new Map(states)
        )
      ),
      // The owner is told of another listing when it is, and this process when it is: only then `source` is the new one.
      events: Stream.merge(
        Stream.filter(events, ({ _tag }) => _tag !== "Reconfigured"),
        Stream.fromPubSub(changes).pipe(Stream.mapEffect(reconfigured), Stream.flattenIterable)
      ),
      changes: Stream.fromPubSub(changes),
      ready: Effect.suspend(() => Fleet.awaitReady(all())),
      apply: (specs) =>
        Effect.tap(apply(specs), (told) =>
          Effect.suspend(() => {
            for (const { _tag, id } of told) if (_tag === "Removed") members.delete(id)
            all()
            return PubSub.publishAll(changes, told)
          })
        )
    }
  })
