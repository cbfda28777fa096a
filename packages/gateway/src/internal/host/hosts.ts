/**
 * The hosts that are connected, and their lanes: each host has one to each backend of the fleet, for as long as both are there.
 */

import type { KeptPeer } from "@vmcp-keepalive/host"
import { SharedPeer } from "@vmcp-keepalive/host/gateway"
import type { Message, Peer } from "@vmcp-keepalive/sdk-client/peer"
import type { Fleet, Operable } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Connection, ConnectionOptions, View } from "../../Gateway.ts"
import { type Backends, type Found, type Member } from "../lanes/backends.ts"
import type { Calls } from "../lanes/calls.ts"
import * as Opening from "../lanes/opening.ts"
import type { Lane } from "../lanes/lane.ts"
import type * as Files from "../lists/files.ts"
import { Host } from "./host.ts"

/** What they are made of. */
export interface Options {
  readonly fleet: Fleet.Backends<Peer.Peer>
  readonly backends: Backends
  /** is told what becomes of calls in hosts' own sessions */
  readonly calls: Calls
  /** of the gateway: sessions that hosts share are listened to for as long */
  readonly scope: Scope.Scope
  /** what is known of lists, beyond this process */
  readonly files: Files.Store
  readonly initializeWait: Duration.Duration
  readonly listWait: Duration.Duration
}

/** A host that has initialized. */
interface Joined {
  readonly host: Host
  readonly scope: Scope.Scope
  readonly words: Message.Params
  readonly scopes: Map<Lane, Scope.Closeable>
}

/** See the module. */
export class Hosts {
  readonly #options: Options
  /** lanes are opened and closed one change at a time */
  readonly #turn = Semaphore.makeUnsafe(1)
  readonly #joined = new Map<Host, Joined>()
  /** by the id of the backend */
  readonly #shared = new Map<string, { readonly peer: SharedPeer.SharedPeer; readonly scope: Scope.Closeable }>()
  #views: ReadonlyMap<string, View> = new Map()

  constructor(options: Options) {
    this.#options = options
  }

  /** See `Gateway`. */
  open(
    deliver: KeptPeer.Deliver,
    { waits = true }: ConnectionOptions = {}
  ): Effect.Effect<Connection, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { backends, initializeWait, listWait } = this.#options
      const scope = yield* Scope.Scope
      const context = yield* Effect.context<never>()
      const host = new Host({
        backends,
        deliver,
        initializeWait: waits ? initializeWait : Duration.zero,
        listWait,
        context,
        join: (host, words) => this.#join({ host, scope, words, scopes: new Map() })
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          host.end()
          this.#joined.delete(host)
        })
      )
      return host
    })
  }

  /** See `Gateway`. */
  show(views: ReadonlyMap<string, View>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#views = views
      return this.sync
    })
  }

  /** Makes the lanes of all hosts what the fleet is now. */
  get sync(): Effect.Effect<void> {
    return this.#alone(
      Effect.gen({ self: this }, function* () {
        const { backends, files, fleet } = this.#options
        const found = new Map<string, Found>()
        for (const id of yield* fleet.ids) {
          const backend = Option.getOrUndefined(yield* fleet.get(id))
          if (backend !== undefined) found.set(id, { backend, kind: (yield* backend.source).connector.kind })
        }
        const { added, isAny, removed } = backends.update(found, this.#views)
        if (!isAny) return
        for (const { id } of removed) if (!found.has(id)) yield* files.forget(id)
        for (const { id } of added)
          yield* Effect.map(
            files.restore(id),
            Option.map((lists) => backends.restore(id, lists))
          )
        for (const joined of this.#joined.values()) {
          for (const { id } of removed) yield* this.#closeLane(joined, id)
        }
        for (const { id } of removed) yield* this.#closeShared(id)
        for (const joined of this.#joined.values()) {
          for (const member of added) yield* this.#openLane(joined, member)
          joined.host.fleetChanged()
        }
      })
    )
  }

  /** The backend is reached in another way, or has another policy: so have the sessions that hosts have with it. */
  reconfigured(id: string): Effect.Effect<void> {
    return this.#alone(
      Effect.gen({ self: this }, function* () {
        const member = this.#options.backends.members.get(id)
        if (member === undefined) return
        const source = yield* member.backend.source
        // what is wrong in it was refused by the fleet's backend
        for (const lane of this.#own(id)) yield* Effect.ignore(lane.backend.reconfigure(source))
      })
    )
  }

  /** Gives a command to the sessions that hosts have of their own with that backend. */
  operate(id: string, command: (backend: Operable.Operable) => Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(this.#own(id), (lane) => Effect.ignore(command(lane.backend)), {
        concurrency: "unbounded",
        discard: true
      })
    )
  }

  #own(id: string): ReadonlyArray<Lane> {
    return [...this.#joined.keys()].flatMap(({ lanes }) => {
      const lane = lanes.get(id)
      return lane?.mode === "per-client" ? [lane] : []
    })
  }

  #join(joined: Joined): Effect.Effect<void> {
    return this.#alone(
      Effect.gen({ self: this }, function* () {
        const { host } = joined
        const before = this.#joined.get(host)
        // an earlier `initialize` was cancelled
        if (before !== undefined) for (const id of [...host.lanes.keys()]) yield* this.#closeLane(before, id)
        if (host.isOver) return
        this.#joined.set(host, joined)
        for (const member of this.#options.backends.members.values()) yield* this.#openLane(joined, member)
      })
    )
  }

  #openLane({ host, scope, scopes, words }: Joined, member: Member): Effect.Effect<void> {
    const { calls } = this.#options
    const shared = (member: Member) => this.#sharedOf(member)
    return Effect.gen(function* () {
      if (host.isOver) return
      const own = yield* Scope.fork(scope)
      const lane = yield* Scope.provide(
        member.mode === "shared"
          ? Opening.openShared(member, yield* shared(member), host)
          : Opening.open(member, words, host, calls),
        own
      )
      scopes.set(lane, own)
      host.opened(lane)
    })
  }

  /** The session that all hosts have with it, from the first that does. */
  #sharedOf({ backend, id }: Member): Effect.Effect<SharedPeer.SharedPeer> {
    return Effect.gen({ self: this }, function* () {
      const known = this.#shared.get(id)
      if (known !== undefined) return known.peer
      const scope = yield* Scope.fork(this.#options.scope)
      const peer = yield* Scope.provide(SharedPeer.make({ backend }), scope)
      this.#shared.set(id, { peer, scope })
      return peer
    })
  }

  #closeShared(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const known = this.#shared.get(id)
      this.#shared.delete(id)
      return known === undefined ? Effect.void : Scope.close(known.scope, Exit.void)
    })
  }

  #closeLane({ host, scopes }: Joined, id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const lane = host.lanes.get(id)
      const scope = lane && scopes.get(lane)
      if (lane === undefined || scope === undefined) return Effect.void
      host.left(lane)
      scopes.delete(lane)
      // Each may take as long as its server lets it: hosts that come would wait for those of all others.
      return Effect.asVoid(
        Effect.forkIn(Scope.close(scope, Exit.void), this.#options.scope, {
          startImmediately: true,
          uninterruptible: true
        })
      )
    })
  }

  /** Half a change is none. */
  #alone(change: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.andThen(restore(this.#turn.take(1)), Effect.ensuring(change, this.#turn.release(1)))
    )
  }
}
