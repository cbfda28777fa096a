/**
 * What is counted in one target: which backends have series, from when and until when.
 *
 * However many layers count in a target, also of several runtimes of one process, there is one recorder: no event counts
 * twice, and no layer ends the series of another.
 */
import type { KeepaliveEvent, Observer } from "@vmcp-keepalive/core/KeepaliveEvent"
import type * as Ownership from "@vmcp-keepalive/core/Ownership"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as Scope from "effect/Scope"
import * as Catalog from "./catalog.ts"
import * as Expiry from "./expiry.ts"
import * as Series from "./series.ts"
import type { Target } from "./target.ts"
import * as Wiring from "./wiring.ts"

export interface Options<Handle> {
  readonly maxBackends: number
  readonly removeAfter: Duration.Duration
  readonly target: Target<Handle>
  /** whether OpenTelemetry's metrics of an MCP client are counted too */
  readonly conventions: boolean
  /** runs when the first backend gets no series */
  readonly onFull: Effect.Effect<void>
}

export interface Recorder {
  readonly observe: Observer
  readonly keep: Ownership.Observer
  /** wall-clock nanoseconds: no figure is older */
  readonly startedAt: bigint
}

interface Shared {
  readonly recorder: Recorder
  readonly scope: Scope.Closeable
  layers: number
}

/** By the target's identity. */
const shared = new WeakMap<object, Shared>()

/**
 * The recorder of the target, until the scope closes. The first to ask makes it, and its options hold; the last to leave
 * removes every series.
 */
export const join = <Handle>(options: Options<Handle>): Effect.Effect<Recorder, never, Scope.Scope> => {
  const { identity } = options.target
  const enter = Effect.contextWith((context: Context.Context<never>) =>
    // in one go: two layers that are built side by side must not make one each
    Effect.sync(() => {
      let known = shared.get(identity)
      if (known === undefined) {
        const scope = Scope.makeUnsafe()
        known = { recorder: Effect.runSyncWith(context)(Scope.provide(make(options), scope)), scope, layers: 0 }
        shared.set(identity, known)
      }
      known.layers++
      return known
    })
  )
  const leave = (known: Shared) =>
    Effect.suspend(() => {
      if (--known.layers > 0) return Effect.void
      shared.delete(identity)
      return Scope.close(known.scope, Exit.void)
    })
  return Effect.map(Effect.acquireRelease(enter, leave), ({ recorder }) => recorder)
}

/** When counting in it began, if it has. */
export const startOf = (identity: object): bigint | undefined => shared.get(identity)?.recorder.startedAt

const make = Effect.fnUntraced(function* <Handle>({
  conventions,
  maxBackends,
  onFull,
  removeAfter,
  target
}: Options<Handle>) {
  const clock = yield* Clock.Clock
  const now = conventions ? () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6 : undefined
  const tell = yield* FiberHandle.makeRuntime<never>()
  const counted = new Map<string, Series.Series>()
  /** how many of each id live that get no series, for there was no room when the first of them started */
  const uncounted = new Map<string, number>()
  const wiring = yield* Wiring.make
  let dropped: Handle | undefined
  /** how many backends are not closed, with series or without */
  let living = 0
  let ended = false

  const closed = yield* Expiry.make(removeAfter, (backend) => {
    counted.get(backend)?.remove()
    counted.delete(backend)
  })

  const drop = () => {
    if (dropped === undefined) {
      dropped = target.make(Catalog.dropped, {})
      tell(onFull)
    }
    target.update(dropped, 1)
  }

  const seriesFor = (backend: string): Series.Series | undefined => {
    closed.delete(backend)
    const known = counted.get(backend)
    if (known !== undefined) return known
    const others = uncounted.get(backend) ?? 0
    if (others > 0 || counted.size >= maxBackends) {
      uncounted.set(backend, others + 1)
      return undefined
    }
    const series = Series.make(backend, target, now)
    counted.set(backend, series)
    return series
  }

  const observe = (event: KeepaliveEvent) => {
    if (ended) return
    const { backend } = event
    // the first event of every backend: the others bring none back whose series are gone
    const series = event._tag === "Started" ? seriesFor(backend) : counted.get(backend)
    const isEnd = event._tag === "StateChanged" && event.to._tag === "Closed"
    if (event._tag === "Started") {
      living++
      wiring.reached(event)
    }
    if (isEnd) living = Math.max(0, living - 1)
    if (series !== undefined) {
      series.count(event)
      if (isEnd && series.isClosed()) closed.set(backend)
      return
    }
    const others = uncounted.get(backend)
    if (others === undefined) return
    drop()
    if (isEnd) uncounted.set(backend, others - 1)
    if (isEnd && others === 1) uncounted.delete(backend)
  }

  /** of each backend of a cluster that this process keeps, with series or without */
  const margins = new Set<() => Duration.Duration>()
  let removeMargin: (() => void) | undefined
  const leastMargin = () => {
    let least = Number.POSITIVE_INFINITY
    for (const margin of margins) least = Math.min(least, Duration.toSeconds(margin()))
    return least
  }

  const keep: Ownership.Observer = (backend, margin) => {
    if (ended) return () => {}
    margins.add(margin)
    removeMargin ??= target.observe(Catalog.leaseMargin, {}, leastMargin)
    const left = counted.get(backend)?.kept(() => Duration.toMillis(margin()) > 0)
    return () => {
      left?.()
      margins.delete(margin)
      if (margins.size > 0) return
      removeMargin?.()
      removeMargin = undefined
    }
  }

  const removeBackends = target.observe(Catalog.backends, {}, () => {
    wiring.check()
    return living
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      ended = true
      removeBackends()
      removeMargin?.()
      for (const series of counted.values()) series.remove()
      if (dropped !== undefined) target.remove(dropped)
    })
  )
  const recorder: Recorder = { observe, keep, startedAt: clock.currentTimeNanosUnsafe() }
  return recorder
})
