/**
 * The sessions that callers elsewhere hold: each is pinned here for as long as its caller wants it.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** How many callers elsewhere may hold a session of one backend: each keeps it from being given up. */
export const mostPins = 256

/** What is told of one. */
export interface Pinned {
  readonly pin: string
  readonly generation: number
}

export class Pins {
  readonly #held = new Map<string, Backend.PinnedSession<Peer.Peer>>()

  /** how many there are */
  get size(): number {
    return this.#held.size
  }

  get(pin: string): Backend.PinnedSession<Peer.Peer> | undefined {
    return this.#held.get(pin)
  }

  /** Holds a session until the stream ends. */
  hold(
    backend: Backend.Backend<Peer.Peer>,
    pin: string
  ): Stream.Stream<Pinned, BackendError.SessionUnavailable | BackendError.CallRejected> {
    return Stream.callback((queue) => {
      const held = backend.pinned((session) =>
        Effect.gen({ self: this }, function* () {
          if (this.#held.size >= mostPins) {
            const { id, state } = backend
            const { _tag } = yield* state
            return yield* new BackendError.CallRejected({
              backend: id,
              state: _tag,
              reason: "overloaded",
              detail: undefined,
              retryAfter: undefined
            })
          }
          this.#held.set(pin, session)
          yield* Queue.offer(queue, { pin, generation: session.generation })
          return yield* Effect.ensuring(
            Effect.never,
            Effect.sync(() => this.#held.delete(pin))
          )
        })
      )
      return Effect.catch(held, (error) => Queue.fail(queue, error))
    })
  }
}
