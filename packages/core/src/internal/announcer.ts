/**
 * Who is told what happens to a backend: the observers of the context, and the readers of its streams.
 */
import type * as Clock from "effect/Clock"
import type { Happening, KeepaliveEvent, Observer } from "../KeepaliveEvent.ts"

export interface Announcer {
  readonly emit: (happening: Happening) => void
  /** whether anybody listens: if not, an event need not even be made */
  readonly isHeard: () => boolean
  /** readers of a stream, while they read */
  readonly listeners: Set<Listener>
  /** nothing will happen any more: every reader is told, and whoever comes later too */
  readonly end: () => void
}

/** One reader. */
export interface Listener {
  readonly observe: Observer
  readonly end: () => void
}

export const make = (backend: string, clock: Clock.Clock, observers: ReadonlyArray<Observer>): Announcer => {
  const listeners = new Set<Listener>()
  const isHeard = () => observers.length > 0 || listeners.size > 0
  return {
    isHeard,
    listeners,
    emit: (happening) => {
      if (!isHeard()) return
      const event: KeepaliveEvent = { ...happening, backend, at: clock.currentTimeMillisUnsafe() }
      for (const observer of observers) tell(observer, event)
      for (const { observe } of listeners) tell(observe, event)
    },
    end: () => {
      for (const listener of listeners) listener.end()
    }
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
