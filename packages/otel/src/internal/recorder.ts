/**
 * The observer behind the metrics: which backends have series, from when and until when.
 */
import type { KeepaliveEvent, Observer } from "@vmcp-keepalive/core/KeepaliveEvent"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Catalog from "./catalog.ts"
import * as Expiry from "./expiry.ts"
import * as Series from "./series.ts"
import type { Target } from "./target.ts"

export interface Options<Handle> {
  readonly maxBackends: number
  readonly removeAfter: Duration.Duration
  readonly target: Target<Handle>
  /** runs when the first backend gets no series */
  readonly onFull: Effect.Effect<void>
}

/** What the observers made here fill, by the target's identity. */
const filled = new WeakMap<Observer, object>()

/** Whether one of the observers counts for this target already. */
export const isCounting = (observers: ReadonlyArray<Observer>, identity: object): boolean =>
  observers.some((observer) => filled.get(observer) === identity)

/** Makes the observer. When the scope closes, it removes every series that it made. */
export const make = Effect.fnUntraced(function* <Handle>(options: Options<Handle>) {
  const { maxBackends, removeAfter, target } = options
  const tell = yield* FiberHandle.makeRuntime<never>()
  const backends = new Map<string, Series.Series>()
  /** backends whose series were removed: a call that one of them rejects brings none back */
  const gone = new Set<string>()
  let dropped: Handle | undefined
  let ended = false

  const closed = yield* Expiry.make(removeAfter, (backend) => {
    backends.get(backend)?.remove()
    backends.delete(backend)
    gone.add(backend)
    const [oldest] = gone
    if (gone.size > maxBackends && oldest !== undefined) gone.delete(oldest)
  })

  const drop = () => {
    if (dropped === undefined) {
      dropped = target.make(Catalog.dropped, {})
      tell(options.onFull)
    }
    target.update(dropped, 1)
  }

  const observe = (event: KeepaliveEvent) => {
    if (ended || !isCounted(event)) return
    const { backend } = event
    // what a backend that has closed still says: its calls end, and later ones are rejected
    const isEpilogue = event._tag === "CallSettled"
    let series = backends.get(backend)
    if (series === undefined) {
      if (isEpilogue && gone.has(backend)) return
      if (backends.size >= maxBackends) return drop()
      series = Series.make(backend, target)
      backends.set(backend, series)
      gone.delete(backend)
    }
    series.count(event)
    if (event._tag === "StateChanged" && series.isClosed()) closed.set(backend)
    else if (!isEpilogue) closed.delete(backend)
  }

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      ended = true
      for (const series of backends.values()) series.remove()
      if (dropped !== undefined) target.remove(dropped)
    })
  )
  filled.set(observe, target.identity)
  return observe
})

/** Whether any metric counts events of its kind. */
const isCounted = (event: KeepaliveEvent): boolean => {
  switch (event._tag) {
    case "AttemptScheduled":
    case "Stabilized":
    case "SessionClosed":
    case "ToolsChanged":
    case "Noticed":
      return false
    default:
      return true
  }
}
