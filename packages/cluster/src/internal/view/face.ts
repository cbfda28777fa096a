/**
 * A backend of the cluster as a `Backend`, for those who need not know that there are other processes.
 */
import { Backend, BackendError, type ConnectionState, KeepalivePolicy, type Lists } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Pipeable from "effect/Pipeable"
import type { Listed } from "../owner/listing.ts"
import type { One } from "./one.ts"
import { unkeptSince } from "./reach.ts"

type State = ConnectionState.ConnectionState

export interface Options {
  readonly one: One
  /** `undefined` where it is listed no longer */
  readonly listed: () => Listed | undefined
  /** the policy that its own is laid over */
  readonly inherited: KeepalivePolicy.Options
  /** the wall clock, in milliseconds */
  readonly now: () => number
}

const nothing: Lists.Lists = { tools: [], prompts: [], resources: [] }

export class Face extends Pipeable.Class implements Backend.Backend<Peer.Peer> {
  readonly [Backend.TypeId] = Backend.TypeId
  readonly id: string
  readonly changes: Backend.Backend<Peer.Peer>["changes"]
  readonly events: Backend.Backend<Peer.Peer>["events"]
  readonly use: Backend.Backend<Peer.Peer>["use"]
  readonly pinned: Backend.Backend<Peer.Peer>["pinned"]
  readonly probe: Backend.Backend<Peer.Peer>["probe"]
  readonly awaitConnected: Backend.Backend<Peer.Peer>["awaitConnected"]
  readonly #one: One
  readonly #options: Options
  /** what it was listed as last */
  #listed: Listed
  #removedAt: number | undefined
  #unkeptAt: number | undefined
  #lists: Lists.Lists = nothing

  constructor(options: Options, listed: Listed) {
    super()
    const { one } = options
    this.#one = one
    this.#options = options
    this.#listed = listed
    this.id = one.id
    this.changes = one.changes
    this.events = one.events
    this.use = one.use
    this.pinned = one.pinned
    this.probe = one.probe
    this.awaitConnected = one.awaitConnected
  }

  listen(...[filter, options]: Parameters<Backend.Backend<Peer.Peer>["listen"]>) {
    return this.#one.listen(filter, options)
  }

  get state(): Effect.Effect<State> {
    return Effect.suspend(() => {
      if (this.#isRemoved) return Effect.succeed<State>({ _tag: "Closed", since: this.#removedAt ?? 0 })
      return Effect.map(this.#one.glance, ({ state }) => {
        if (state !== undefined && state._tag !== "Closed") {
          this.#unkeptAt = undefined
          return state
        }
        this.#unkeptAt ??= this.#options.now()
        return unkeptSince(this.#unkeptAt)
      })
    })
  }

  get lists(): Effect.Effect<Lists.Lists> {
    const found = Effect.map(this.#one.lists, (lists) => (this.#lists = lists))
    return Effect.orElseSucceed(Effect.timeout(found, aGlance), () => this.#lists)
  }

  get policy(): Effect.Effect<KeepalivePolicy.KeepalivePolicy> {
    return Effect.map(this.source, ({ connector, policy }) => KeepalivePolicy.resolve(policy, connector).policy)
  }

  get source(): Effect.Effect<Backend.Source<Peer.Peer>> {
    return Effect.sync(() => {
      this.#listed = this.#options.listed() ?? this.#listed
      const { connector, policy } = this.#listed
      return { connector, policy: KeepalivePolicy.overlay(this.#options.inherited, policy) }
    })
  }

  get reconnect(): Effect.Effect<State, BackendError.CallRejected> {
    return Effect.catchTag(
      this.#one.reconnect,
      "SessionUnavailable",
      ({ backend, detail, reason, retryAfter, state }) =>
        Effect.fail(new BackendError.CallRejected({ backend, detail, reason, retryAfter, state }))
    )
  }

  // Where nobody keeps it there is nothing to be ordered: the state tells so.

  get isolate(): Effect.Effect<void> {
    return Effect.ignore(this.#one.isolate)
  }

  get reset(): Effect.Effect<void> {
    return Effect.ignore(this.#one.reset)
  }

  reconfigure(): Effect.Effect<void, BackendError.ConfigurationError> {
    const issues = [{ path: ["cluster"], expected: "to be told by `apply`: every process lists the same backends" }]
    return Effect.fail(new BackendError.ConfigurationError({ backend: this.id, issues }))
  }

  get #isRemoved(): boolean {
    if (this.#options.listed() !== undefined) {
      this.#removedAt = undefined
      return false
    }
    this.#removedAt ??= this.#options.now()
    return true
  }

  override toString(): string {
    return `Backend(${this.id})`
  }

  toJSON(): unknown {
    return { _id: "Backend", id: this.id }
  }
}

/** How long a look at it may take. */
const aGlance = "1 second"
