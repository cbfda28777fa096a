/**
 * Follows the fleet: lanes of hosts to backends that come and go, and the lists of each as soon as it can be asked, so that they are
 * known before a host asks.
 */
import type { ConnectionState, Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { capabilities, type Kind, kinds } from "../catalogue/kinds.ts"
import type { Hosts } from "../host/hosts.ts"
import * as Reading from "../lists/reading.ts"
import type { Backends } from "./backends.ts"

/** What is followed, and by whom. */
export interface Options {
  readonly fleet: Fleet.Backends<Peer.Peer>
  readonly backends: Backends
  readonly hosts: Hosts
}

/** Follows it until the scope closes. What the fleet is now is seen when this returns. */
export const start = ({ backends, fleet, hosts }: Options): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const readings = yield* FiberMap.make<string>()
    const read = (id: string) => FiberMap.run(readings, id, Effect.delay(readAll(backends, id), settling))
    // An operator may have isolated it elsewhere: through another gateway of a cluster, or the fleet itself.
    const isolated = new Set<string>()
    const isolating = (id: string, { _tag }: ConnectionState.ConnectionState): Effect.Effect<void> => {
      if (_tag === "Isolated") {
        isolated.add(id)
        return hosts.operate(id, (own) => own.isolate)
      }
      // Where it is not known how it is, it is as it was.
      if (_tag === "Disconnected" || !isolated.delete(id) || _tag === "Closed") return Effect.void
      return hosts.operate(id, (own) =>
        Effect.flatMap(own.state, (state) => (state._tag === "Isolated" ? own.reset : Effect.void))
      )
    }
    const heard = (event: KeepaliveEvent.KeepaliveEvent): Effect.Effect<unknown> => {
      switch (event._tag) {
        case "Reconfigured":
          return hosts.reconfigured(event.backend)
        case "StateChanged":
          return isolating(event.backend, event.to)
        case "AttemptSucceeded":
        case "ListChanged":
          return read(event.backend)
        default:
          return Effect.void
      }
    }
    yield* Effect.forkScoped(
      Stream.runForEach(fleet.changes, () => hosts.sync),
      { startImmediately: true }
    )
    yield* Effect.forkScoped(Stream.runForEach(fleet.events, heard), { startImmediately: true })
    yield* hosts.sync
    for (const [id, state] of yield* fleet.states) {
      if (state._tag === "Connected") yield* read(id)
      if (state._tag === "Isolated") isolated.add(id)
    }
  })

/** A new session and the changes of its lists come together: they are read once. */
const settling = "100 millis"

const readAll = (backends: Backends, id: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const member = backends.members.get(id)
    if (member === undefined) return Effect.void
    const one = (kind: Kind) =>
      member.backend
        .use(
          async (peer, signal) => {
            if (peer.capabilities?.[capabilities[kind]] === undefined) return []
            return Reading.read(
              kind,
              (method, params) => peer.request(params === undefined ? { method } : { method, params }, { signal }),
              signal
            )
          },
          { idempotent: true }
        )
        .pipe(
          Effect.map((entries) => backends.known.set(id, kind, entries, "gateway")),
          // it is asked again when it says something, or by the next host
          Effect.ignore
        )
    return Effect.forEach(kinds, one, { discard: true })
  })
