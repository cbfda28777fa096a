/**
 * The readers of the event stream. Each frame is written once as bytes that all of them share; each has a bounded buffer, and one that
 * reads too slowly is cut off: it gets a snapshot when it comes back, which is less than what it has missed.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Cause from "effect/Cause"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** a reader of each of so many tabs, which is more than one looks at, and less than what a process can have open */
export const limit = 1000
/** how many frames wait for a reader: at ten a second, those of some seconds */
export const buffer = 64

/** What a reader gets, as bytes of `text/event-stream`. */
export type Frames = Queue.Queue<Uint8Array, Cause.Done>

export interface Readers {
  /** A frame for everybody. */
  readonly send: (frame: Uint8Array) => void
  /** A reader that gets this frame first, until the scope ends; `undefined` where there are as many as there may be. */
  readonly open: (first: () => Uint8Array) => Effect.Effect<Frames | undefined, never, Scope.Scope>
  readonly size: () => number
}

export const make = (): Readers => {
  const all = new Map<Frames, Fiber.Fiber<unknown, unknown>>()
  const send = (frame: Uint8Array): void => {
    for (const [frames, fiber] of all)
      if (!Queue.offerUnsafe(frames, frame)) {
        all.delete(frames)
        // It may wait for its socket, and not for the queue.
        fiber.interruptUnsafe()
      }
  }
  const open = (first: () => Uint8Array): Effect.Effect<Frames | undefined, never, Scope.Scope> =>
    Effect.withFiber((fiber) =>
      all.size >= limit
        ? Effect.succeed(undefined)
        : Effect.acquireRelease(
            Effect.map(Queue.dropping<Uint8Array, Cause.Done>(buffer), (frames) => {
              // Nothing can be sent between the two.
              Queue.offerUnsafe(frames, first())
              all.set(frames, fiber)
              return frames
            }),
            (frames) => Effect.sync(() => all.delete(frames))
          )
    )
  return { send, open, size: () => all.size }
}
