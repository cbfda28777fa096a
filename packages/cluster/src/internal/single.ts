/**
 * A fleet of this process, as a cluster has it.
 */
import { type Backend, type Fleet, Operable } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ClusterBackend, Shape } from "../ClusterBackends.ts"

/** the name of the only process */
const here = "this process"

export const of = (fleet: Fleet.Fleet<Peer.Peer>): Shape => ({
  get: (id) => Effect.map(fleet.get(id), Option.map(ofBackend)),
  ids: fleet.ids,
  states: Effect.map(
    fleet.states,
    (states) => new Map([...states].map(([id, state]) => [id, { owner: here, state }] as const))
  ),
  processes: Effect.map(fleet.ids, (backends) => [
    { address: here, isHere: true, isHealthy: true, backends, left: undefined }
  ]),
  leaseMargin: Effect.succeed(undefined),
  events: fleet.events,
  command: (id, command) =>
    Effect.flatMap(
      fleet.get(id),
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (backend) => Effect.asSome(Operable.operate(backend, command))
      })
    ),
  apply: fleet.apply,
  fleet
})

const ofBackend = (backend: Backend.Backend<Peer.Peer>): ClusterBackend => ({
  id: backend.id,
  owner: Effect.succeed(here),
  state: backend.state,
  changes: backend.changes,
  events: backend.events,
  probe: backend.probe,
  reconnect: backend.reconnect,
  isolate: backend.isolate,
  reset: backend.reset,
  use: backend.use,
  pinned: backend.pinned,
  lists: backend.lists,
  listen: (filter, options) => backend.listen(filter, options)
})
