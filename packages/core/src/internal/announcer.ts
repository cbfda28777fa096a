/**
 * Who is told what happens to a backend: the observers of the context, the readers of its streams, and those of its fleet's.
 */
import type * as Clock from "effect/Clock"
import type { Happening, KeepaliveEvent, Observer } from "../KeepaliveEvent.ts"
import type { Audience } from "./audience.ts"

/** One reader of a stream. */
export interface Listener {
  readonly observe: Observer
  readonly end: () => void
}

/** See the module. */
export class Announcer {
  readonly #backend: string
  readonly #clock: Clock.Clock
  readonly #observers: ReadonlyArray<Observer>
  readonly #audience: Audience | undefined
  /** while they read */
  #listeners: Set<Listener> | undefined

  constructor(backend: string, clock: Clock.Clock, observers: ReadonlyArray<Observer>, audience: Audience | undefined) {
    this.#backend = backend
    this.#clock = clock
    this.#observers = observers
    this.#audience = audience
  }

  /** whether anybody listens: if not, an event need not even be made */
  get isHeard(): boolean {
    const readers = this.#audience?.readers
    return this.#observers.length > 0 || this.#listeners !== undefined || (readers !== undefined && readers.size > 0)
  }

  emit(happening: Happening): void {
    if (!this.isHeard) return
    const event: KeepaliveEvent = { ...happening, backend: this.#backend, at: this.#clock.currentTimeMillisUnsafe() }
    for (const observer of this.#observers) tell(observer, event)
    if (this.#listeners !== undefined) for (const { observe } of this.#listeners) tell(observe, event)
    if (this.#audience !== undefined) for (const observe of this.#audience.readers) tell(observe, event)
  }

  add(listener: Listener): void {
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
  }

  delete(listener: Listener): void {
    this.#listeners?.delete(listener)
    if (this.#listeners?.size === 0) this.#listeners = undefined
  }

  /** Nothing will happen any more: every reader is told. */
  end(): void {
    if (this.#listeners !== undefined) for (const listener of this.#listeners) listener.end()
  }
}

/** An observer that throws is its owner's defect: it must not end the keeping alive. */
const tell = (observer: Observer, event: KeepaliveEvent) => {
  try {
    observer(event)
  } catch {
    return
  }
}
