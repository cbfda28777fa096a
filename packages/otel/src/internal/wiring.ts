/**
 * Whether telemetry reaches the backends. A layer that is merged beside what makes them type-checks and counts nothing, which
 * looks like an app at rest. So one warning says it, as soon as anybody reads figures: a scrape, an export, a snapshot.
 */
import * as Backend from "@vmcp-keepalive/core/Backend"
import * as Effect from "effect/Effect"

export interface Wiring {
  /** A backend was made that tells here; by its first event, which other telemetry may get too. */
  readonly reached: (started: object) => void
  /**
   * Warns, once, if no backend has ever told here although this process has made one that tells no metrics at all. Those that
   * tell other metrics are well: they are an app beside this one.
   */
  readonly check: () => void
}

// one count for all copies of this package that a process may have loaded, and each backend in it once
const key = Symbol.for("@vmcp-keepalive/otel/reached")
const anywhere: { count: number; readonly known: WeakSet<object> } = Reflect.get(globalThis, key) ?? {
  count: 0,
  known: new WeakSet()
}
Reflect.set(globalThis, key, anywhere)

/** How many backends no metrics know of. */
const unreached = () => Backend.made() - anywhere.count

/** Warns with the loggers of the context. */
export const make: Effect.Effect<Wiring> = Effect.map(Effect.context<never>(), (context) => {
  const before = unreached()
  let done = false
  return {
    reached: (started) => {
      done = true
      if (anywhere.known.has(started)) return
      anywhere.known.add(started)
      anywhere.count++
    },
    check: () => {
      if (done || unreached() <= 0) return
      done = true
      // a logger that throws is its owner's defect, and no reason to show no figures
      Effect.runSyncWith(context)(Effect.ignoreCause(warning(unreached(), Math.max(0, before))))
    }
  }
})

/**
 * Merged, in one array, in an inner scope: from here they look alike. When the backends were made, before this telemetry or
 * after, is all that is known beside their number, and a merge makes them in any order.
 */
const warning = (backends: number, before: number) =>
  Effect.annotateLogs(
    Effect.logWarning(
      "no backend is counted: this process has made some, but none with this telemetry. A layer of telemetry has to be " +
        "provided to what makes the backends: App.pipe(Layer.provide(Telemetry)). One that is merged with it, " +
        "Layer.mergeAll(App, Telemetry), or stands beside it in one array, Effect.provide([App, Telemetry]), does not reach " +
        "it; and one that is provided in an inner scope, after they were made or beside, does not either."
    ),
    { backends, made_before_telemetry: Math.min(before, backends) }
  )
