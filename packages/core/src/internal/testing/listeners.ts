/** Who hears of changes from a scripted server. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Change, Filter } from "../../Changes.ts"
import type { Hearing } from "../../Connector.ts"

/** Somebody on a session. */
interface Listener {
  readonly filter: Filter
  readonly hearing: Hearing
}

/** See the module. */
export class Listeners {
  readonly #all = new Set<Listener>()

  /** how many there are */
  get size(): number {
    return this.#all.size
  }

  /** Hears of changes, from when the server has acknowledged it, until it is interrupted. */
  listen(filter: Filter, hearing: Hearing, latency: Duration.Input): Effect.Effect<never> {
    const listener: Listener = { filter, hearing }
    const opened = Effect.andThen(
      Effect.sync(() => hearing.opened(filter)),
      Effect.never
    )
    return Effect.andThen(
      Effect.sleep(latency),
      Effect.acquireUseRelease(
        Effect.sync(() => this.#all.add(listener)),
        () => opened,
        () => Effect.sync(() => this.#all.delete(listener))
      )
    )
  }

  /** The server tells of a change. */
  changed(change: Change): void {
    for (const { filter, hearing } of this.#all) if (isOf(filter, change)) hearing.changed(change)
  }
}

/** A resource may belong to one that was asked for: as it seems here, where its URI begins with that one's. */
const isOf = (filter: Filter, change: Change): boolean =>
  change._tag === "List"
    ? filter[change.kind] === true
    : (filter.uris ?? []).some((uri) => change.uri === uri || change.uri.startsWith(`${uri}/`))
