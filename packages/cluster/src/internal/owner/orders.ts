/**
 * An operator's order to a backend that this process keeps. What has to hold wherever it is kept is in the storage first.
 */
import { type Backend, type BackendError, type ConnectionState, Operable } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { StorageUnavailable } from "../../ClusterError.ts"
import type { Isolated } from "../isolation/Isolation.ts"
import { NotKept } from "../protocol.ts"

export interface Options {
  readonly backend: Backend.Backend<Peer.Peer>
  readonly isolated: Isolated
  /** whether it is still this one that is kept here, and nobody else keeps it */
  readonly isKept: () => boolean
}

/**
 * It is given where the backend is still kept once the storage has answered: the next owner may have looked before, and has to be given the order then. A `reset`
 * of a backend that was not isolated is nothing to the storage.
 */
export const order = (
  { backend, isKept, isolated }: Options,
  command: Operable.Command
): Effect.Effect<ConnectionState.ConnectionState, Refused | StorageUnavailable | NotKept> => {
  const give = Operable.operate(backend, command)
  if (command !== "isolate" && command !== "reset") return give
  return Effect.andThen(
    Effect.mapError(
      command === "isolate" ? isolated.write : isolated.remove,
      () => new StorageUnavailable({ backend: backend.id, command })
    ),
    Effect.suspend((): Effect.Effect<ConnectionState.ConnectionState, Refused | NotKept> =>
      isKept() ? give : Effect.fail(new NotKept())
    )
  )
}

/** what core says of an order */
type Refused = BackendError.SessionUnavailable | BackendError.CallRejected
