/**
 * Opens lanes: to a session of the host's own, or to a part in the one that all hosts have.
 */
import { KeepaliveEvent } from "@vmcp-keepalive/core"
import { KeptPeer } from "@vmcp-keepalive/host"
import type { SharedPeer } from "@vmcp-keepalive/host/gateway"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Member } from "./backends.ts"
import type { Calls } from "./calls.ts"
import * as Events from "./events.ts"
import { type Host, Lane } from "./lane.ts"

/** Who wants one. */
export interface For extends Host {
  /** The first session of a lane is open. It may be closed again by now. */
  readonly connected: (lane: Lane) => void
}

/** Opens a lane of the host, which has said these words, until the scope closes. */
export const open = (
  member: Member,
  words: Message.Params,
  host: For,
  calls: Calls
): Effect.Effect<Lane, never, Scope.Scope> =>
  Effect.gen(function* () {
    const lane = new Lane(member.id, member.mode, host)
    const observers = yield* KeepaliveEvent.observers
    const { connector, policy } = yield* member.backend.source
    const observe = (event: KeepaliveEvent.KeepaliveEvent) => {
      calls.told(event)
      if (Events.isCounted(event)) for (const observer of observers) observer(event)
      // not in the midst of the backend's own actions: what the host does then may be to ask it
      else if (event._tag === "AttemptSucceeded" && event.generation === 1) queueMicrotask(() => host.connected(lane))
    }
    const kept = yield* KeptPeer.make({ id: member.id, connector, policy, initialize: words }, lane.deliver).pipe(
      KeepaliveEvent.withObserver(observe),
      // what the fleet's backend is made of is right
      Effect.orDie
    )
    lane.connect(kept, kept.backend)
    // at once where this process keeps the backend; a host does not wait until another one says how it is
    const isolated = Effect.flatMap(member.backend.state, ({ _tag }) =>
      _tag === "Isolated" ? kept.backend.isolate : Effect.void
    )
    yield* Effect.forkScoped(isolated, { startImmediately: true })
    return lane
  })

/** Opens a lane of the host to the session that all hosts have, until the scope closes. */
export const openShared = (
  member: Member,
  shared: SharedPeer.SharedPeer,
  host: For
): Effect.Effect<Lane, never, Scope.Scope> =>
  Effect.gen(function* () {
    const lane = new Lane(member.id, member.mode, host)
    const part = yield* shared.open(lane.deliver, { isOpen: true })
    lane.connect(part, member.backend, part.connected)
    const first = Effect.andThen(
      part.connected,
      Effect.sync(() => host.connected(lane))
    )
    yield* Effect.forkScoped(Effect.ignore(first))
    return lane
  })
