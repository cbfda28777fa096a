/**
 * Which process keeps a backend, where several divide them among each other: what a cluster tells those who count. A process on its own
 * tells nothing here.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Observers from "./internal/observers.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * Is told that this process keeps a backend from now on, after the backend's first event. `margin` may be asked at any time: for how long it is certain
 * that no other process keeps it; zero where it is not. What is returned runs once, when this process has ended the backend. It must not throw.
 *
 * @since 0.1.0
 */
export type Observer = (backend: string, margin: () => Duration.Duration) => () => void

// ---------------------------------------------------------------------------------------------------------- observers

const all = Observers.make<Observer>("@vmcp-keepalive/core/OwnershipObserver/")

/**
 * An observer for every backend of a cluster made with this layer, as `KeepaliveEvent.layerObserver` has it: it stands beside all others.
 *
 * @since 0.1.0
 */
export const layerObserver: <E = never, R = never>(
  observer: Observer | Effect.Effect<Observer, E, R>
) => Layer.Layer<never, E, Exclude<R, Scope.Scope>> = all.layer

/**
 * The observers of the context, each once.
 *
 * @since 0.1.0
 */
export const observers: Effect.Effect<ReadonlyArray<Observer>> = all.all
