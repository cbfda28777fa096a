/**
 * What becomes of the calls of hosts in sessions of their own: the fleet tells of the sessions that it keeps itself, and knows nothing of
 * these.
 */
import type { KeepaliveEvent } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Events from "./events.ts"

/** as of a fleet's events */
const readerBuffer = 16_384

/** See the module. */
export class Calls {
  readonly #readers = new Set<KeepaliveEvent.Observer>()

  /** An event of a lane, under the id of its backend. */
  told(event: KeepaliveEvent.KeepaliveEvent): void {
    if (Events.isOfCall(event)) for (const read of this.#readers) read(event)
  }

  /** From now on. */
  readonly stream: Stream.Stream<KeepaliveEvent.KeepaliveEvent> = Stream.callback(
    (queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const read: KeepaliveEvent.Observer = (event) => void Queue.offerUnsafe(queue, event)
          this.#readers.add(read)
          return read
        }),
        (read) => Effect.sync(() => this.#readers.delete(read))
      ),
    { bufferSize: readerBuffer, strategy: "sliding" }
  )
}
