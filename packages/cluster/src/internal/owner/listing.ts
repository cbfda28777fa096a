/**
 * Which backends there are: what this process was told last, checked before it is taken.
 */
import { type Connector, Fleet, type KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** What a backend is made of; the same object for as long as its words are the same. */
export interface Listed {
  readonly connector: Connector.Connector<Peer.Peer>
  readonly policy: KeepalivePolicy.Options
}

export class Listing extends Context.Service<
  Listing,
  {
    /** in the order of the specs; another map after each change */
    readonly current: () => ReadonlyMap<string, Listed>
    /** Takes other specs, and tells those concerned, one change at a time. */
    readonly apply: (
      specs: ReadonlyArray<Fleet.Spec>,
      concerned: (id: string) => Effect.Effect<void>
    ) => Effect.Effect<ReadonlyArray<Fleet.Change>, Fleet.FleetConfigurationError>
  }
>()("@vmcp-keepalive/cluster/Listing") {}

/** `asOne`: what the connectors become, of which every process has one. */
export const make = Effect.fnUntraced(function* (
  asOne: (connector: Connector.Connector<Peer.Peer>) => Connector.Connector<Peer.Peer>
): Effect.fn.Return<Listing["Service"], never, Fleet.Transport<Peer.Peer>> {
  const context = yield* Effect.context<Fleet.Transport<Peer.Peer>>()
  const oneAtATime = Semaphore.makeUnsafe(1)
  let before: ReadonlyArray<Fleet.Spec> = []
  let listed: ReadonlyMap<string, Listed> = new Map()

  const take = Effect.fnUntraced(function* (
    specs: ReadonlyArray<Fleet.Spec>,
    concerned: (id: string) => Effect.Effect<void>
  ) {
    const { made, removed } = yield* Effect.provideContext(Fleet.plan<Peer.Peer>(specs, before), context)
    const changed = new Map(
      made.map(({ connector, id, policy, what }) => {
        // another policy alone is no other connection
        const kept = what === undefined || what.includes("connection") ? undefined : listed.get(id)
        return [id, { policy, connector: kept?.connector ?? asOne(connector) }] as const
      })
    )
    const next = new Map<string, Listed>()
    for (const { enabled, id } of specs) {
      const one = enabled === false ? undefined : (changed.get(id) ?? listed.get(id))
      if (one !== undefined) next.set(id, one)
    }
    listed = next
    before = specs
    yield* Effect.forEach([...removed, ...changed.keys()], concerned, { concurrency: "unbounded", discard: true })
    return [
      ...removed.map((id): Fleet.Change => ({ _tag: "Removed", id })),
      ...made.map(({ id, what }): Fleet.Change =>
        what === undefined ? { _tag: "Added", id } : { _tag: "Replaced", id, what }
      )
    ]
  })
  return {
    current: () => listed,
    apply: (specs, concerned) => oneAtATime.withPermits(1)(Effect.uninterruptible(take(specs, concerned)))
  }
})
