/**
 * What the page tells of a cluster: the processes that take part in it, which of them keeps each backend, and how long their leases last. It is looked
 * at every few seconds, as the database of the cluster has it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Wire from "./wire.ts"

/** A process that takes part. */
export interface Process {
  /** its name: where the others reach it */
  readonly address: string
  /** whether it is the one that tells this */
  readonly isHere: boolean
  /** whether it answered when the others asked it last */
  readonly isHealthy: boolean
  /** the ids of the backends that it keeps */
  readonly backends: ReadonlyArray<string>
  /** For how long it keeps them yet without another word of its own; `undefined` where it keeps none. */
  readonly left: Duration.Duration | undefined
}

/** Where this is learned: `ClusterBackends` of `@vmcp-keepalive/cluster` has it. */
export interface Source {
  /** Fails while the database does not answer. */
  readonly processes: Effect.Effect<ReadonlyArray<Process>, unknown>
  /** For how long this process is certain that nobody else keeps what it does; `undefined` where it keeps nothing. */
  readonly leaseMargin: Effect.Effect<Duration.Duration | undefined>
}

/** how long the database may take to answer */
const patience = "2 seconds"

/** Looks at the cluster; what was seen last stays while the database does not answer. */
export class Cluster {
  readonly #source: Source
  readonly #now: () => number
  #seen: Wire.Cluster | undefined
  #owners: ReadonlyMap<string, string> | undefined

  constructor(source: Source, now: () => number) {
    this.#source = source
    this.#now = now
  }

  /** `undefined` until it was seen once */
  get seen(): Wire.Cluster | undefined {
    return this.#seen
  }

  /** Which process keeps it: `null` where none does, `undefined` where that is not known. */
  ownerOf(backend: string): string | null | undefined {
    return this.#owners === undefined ? undefined : (this.#owners.get(backend) ?? null)
  }

  readonly look: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      const found = yield* Effect.option(Effect.timeout(this.#source.processes, patience))
      const margin = yield* this.#source.leaseMargin
      const certain = margin === undefined ? null : millis(margin)
      if (Option.isNone(found)) {
        const { processes = [], silentSince } = this.#seen ?? { silentSince: null }
        this.#seen = { processes, margin: certain, silentSince: silentSince ?? this.#now() }
        return
      }
      this.#owners = new Map(
        found.value.flatMap(({ address, backends }) => backends.map((id) => [id, address] as const))
      )
      this.#seen = { processes: found.value.map(processOf), margin: certain, silentSince: null }
    })
  )
}

const processOf = ({ address, backends, isHealthy, isHere, left }: Process): Wire.Process => ({
  address,
  here: isHere,
  healthy: isHealthy,
  backends: backends.length,
  lease: left === undefined ? null : millis(left)
})

const millis = (duration: Duration.Duration): number => Math.max(0, Math.round(Duration.toMillis(duration)))
